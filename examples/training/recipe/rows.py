"""From examples to token rows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerFast

from .batches import IGNORED, Row
from .extraction import Example, Extraction, messy
from .hints import NOWHERE, Tokens, answer_sources, text_roles
from .model import BOS, EOS
from .tokenizer import glue_words, train_tokenizer

MESSY_SHARE = 0.03
GENERIC_START, GENERIC_END, GENERIC_STEPS = 0.6, 0.12, 250


def prompt_row(tokenizer: PreTrainedTokenizerFast, prompt: str, answer: str) -> Row:
    """`<bos>` prompt answer `<eos>`; the answer and `<eos>` are to be learned."""
    return branched_row(tokenizer, "", [(prompt, answer)])


def branched_row(
    tokenizer: PreTrainedTokenizerFast, text: str, asked: list[tuple[str, str]]
) -> Row:
    """One text that several pairs of a rest of the prompt and an answer share, without hints."""
    ids = [BOS, *tokenizer(text, add_special_tokens=False).input_ids]
    target = [False] * len(ids)
    starts = []
    for prompt, answer in asked:
        before = tokenizer(prompt, add_special_tokens=False).input_ids
        after = [*tokenizer(answer, add_special_tokens=False).input_ids, EOS]
        starts.append(len(ids))
        ids += before + after
        target += [False] * len(before) + [True] * len(after)
    return Row(ids, target, tuple(starts))


def hinted_row(tokenizer: PreTrainedTokenizerFast, asked: list[tuple[Example, str]]) -> Row:
    """Examples of one text and the answers to them, with what is known about their tokens."""
    first = asked[0][0]
    text = Tokens.of(tokenizer, first.text)
    ids = [BOS, *text.ids]
    roles = [IGNORED, *text_roles(first, text)]
    target, sources, starts = [False] * len(ids), [-1] * len(ids), []
    for example, answer in asked:
        rest = Tokens.of(tokenizer, example.prompt().removeprefix(example.text))
        after = Tokens.of(tokenizer, answer)
        start = len(ids)
        starts.append(start)
        ids += [*rest.ids, *after.ids, EOS]
        target += [False] * len(rest.ids) + [True] * (len(after.ids) + 1)
        sources += [-1] * len(rest.ids)
        if answer == example.answer():
            found = answer_sources(example, text, rest, after)
            sources += [_shifted(n, len(text.ids), start) for n in found]
        else:
            sources += [-1] * (len(after.ids) + 1)
    return Row(ids, target, tuple(starts), tuple(roles), tuple(sources))


def _shifted(source: int, texts: int, start: int) -> int:
    """The place in a row of the token `source` of a prompt, whose text has `texts` tokens."""
    if source == NOWHERE:
        return -1
    return source + 1 if source < texts else source - texts + start


def generic_share(step: int) -> float:
    """Share of loose key-value rows: high at first, since copying is learnt on them fastest."""
    left = max(0.0, 1 - step / GENERIC_STEPS)
    return GENERIC_END + (GENERIC_START - GENERIC_END) * left


@dataclass(frozen=True)
class ExtractionRows:
    """Makes training rows of the extraction task.

    `begun` skips the many loose rows of the beginning; `lists` is how many field lists are asked
    of one text.
    """

    tokenizer: PreTrainedTokenizerFast
    begun: bool = False
    lists: int = 1

    def __call__(self, rng: random.Random, step: int) -> Row:
        share = generic_share(step + GENERIC_STEPS * self.begun)
        examples = Extraction(rng, "train").examples(self.lists, generic=share)
        asked = []
        for example in examples:
            sloppy = rng.random() < MESSY_SHARE
            answer = messy(rng, example.answer()) if sloppy else example.answer()
            asked.append((example, answer))
        return hinted_row(self.tokenizer, asked)


def strings(value: Any) -> Iterator[str]:
    """All strings in a JSON value, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)


def extraction_tokenizer(size: int, seed: int, examples: int = 12_000) -> PreTrainedTokenizerFast:
    """A tokenizer learned on training examples only."""
    source = Extraction(random.Random(seed), "train")
    made: list[Example] = [source.example() for _ in range(examples)]
    values = [text for example in made for text in strings(example.value)]
    glued = glue_words((example.text for example in made), values, 220)
    return train_tokenizer((e.prompt() + e.answer() for e in made), size, glued)
