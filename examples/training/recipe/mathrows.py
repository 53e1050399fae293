"""Token rows, tokenizer and scores of the word-problem task."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from .batches import Row
from .decoding import decode
from .model import BOS, EOS
from .rows import prompt_row
from .tokenizer import glue_words, train_tokenizer
from .wordproblems import Problem, drill, problem

DRILL_SHARE = 0.25


def drill_row(tokenizer: PreTrainedTokenizerFast, rng: random.Random) -> Row:
    """Equations of which only the results are to be learned, since the rest is noise."""
    ids, target = [BOS], [False]
    for line in drill(rng):
        left, right = line.split("=")
        for text, wanted in ((left + "=", False), (right + "\n", True)):
            new = tokenizer(text, add_special_tokens=False).input_ids
            ids += new
            target += [wanted] * len(new)
    return Row([*ids, EOS], [*target, False])


@dataclass(frozen=True)
class ProblemRows:
    """Makes training rows: problems, and drills for a quarter."""

    tokenizer: PreTrainedTokenizerFast

    def __call__(self, rng: random.Random, step: int) -> Row:
        if rng.random() < DRILL_SHARE:
            return drill_row(self.tokenizer, rng)
        one = problem(rng)
        return prompt_row(self.tokenizer, one.prompt(), one.solution())


def problem_tokenizer(size: int, seed: int, examples: int = 5_000) -> PreTrainedTokenizerFast:
    """A tokenizer learned on training problems only; words keep the space before them."""
    rng = random.Random(seed)
    texts = [one.prompt() + one.solution() for one in (problem(rng) for _ in range(examples))]
    return train_tokenizer(texts, size, glue_words(texts, [], 400))


def answer_of(text: str) -> int | None:
    """The number after `Answer:`, None if there is none."""
    match = re.search(r"^Answer: (-?\d+)$", text, re.MULTILINE)
    return int(match[1]) if match else None


def solved(
    model: LlamaForCausalLM,
    tokenizer: Any,
    problems: list[Problem],
    temperature: float = 0.0,
) -> list[bool]:
    """Per problem whether the model's final answer is right."""
    prompts = [one.prompt() for one in problems]
    texts = decode(model, tokenizer, prompts, longest=100, temperature=temperature)
    return [answer_of(t) == p.answer for t, p in zip(texts, problems, strict=True)]
