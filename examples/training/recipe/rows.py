"""From examples to token rows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from transformers import PreTrainedTokenizerFast

from .extraction import Example, Extraction, messy
from .model import BOS, EOS
from .tokenizer import glue_words, train_tokenizer
from .training import MakeRow, Row

MESSY_SHARE = 0.03
GENERIC_START, GENERIC_END, GENERIC_STEPS = 0.6, 0.12, 250


def prompt_row(tokenizer: PreTrainedTokenizerFast, prompt: str, answer: str) -> Row:
    """`<bos>` prompt answer `<eos>`; the answer and `<eos>` are to be learned."""
    before = [BOS, *tokenizer(prompt, add_special_tokens=False).input_ids]
    after = [*tokenizer(answer, add_special_tokens=False).input_ids, EOS]
    return Row(before + after, [False] * len(before) + [True] * len(after))


def generic_share(step: int) -> float:
    """Share of loose key-value rows: high at first, since copying is learnt on them fastest."""
    left = max(0.0, 1 - step / GENERIC_STEPS)
    return GENERIC_END + (GENERIC_START - GENERIC_END) * left


def extraction_rows(tokenizer: PreTrainedTokenizerFast, begun: bool = False) -> MakeRow:
    """Makes training rows of the extraction task; `begun` skips the loose rows of the beginning."""
    skipped = GENERIC_STEPS if begun else 0

    def make(rng: random.Random, step: int) -> Row:
        example = Extraction(rng, "train").example(generic=generic_share(step + skipped))
        answer = example.answer()
        if rng.random() < MESSY_SHARE:
            answer = messy(rng, answer)
        return prompt_row(tokenizer, example.prompt(), answer)

    return make


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
