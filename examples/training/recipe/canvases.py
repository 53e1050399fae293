"""Prompts with a canvas to fill: what the masked diffusion model reads and learns from."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from .listops import OPERATIONS, pool, problem
from .model import BOS, EOS, PAD
from .records import record
from .tokenizer import glue_words, train_tokenizer

TRAINED = (
    "copy",
    "reverse",
    "sort",
    "shuffle",
    "insert_random",
    "remove_random",
    "replace_random",
)
"""The operations that the model learns; the others have to count places."""
LIST_CANVASES, RECORD_CANVASES = (16, 20, 24), (24, 28, 32)


@dataclass(frozen=True)
class Task:
    """A prompt and one right answer to it, as texts."""

    prompt: str
    answer: str


MakeTask = Callable[[random.Random], Task]


def list_task(rng: random.Random) -> Task:
    """A list operation with one of its right answers."""
    operation = OPERATIONS[rng.choice(TRAINED)]
    asked = problem(operation.name, rng)
    return Task(operation.prompt(asked), json.dumps(operation.answer(asked, rng)))


def record_task(rng: random.Random, split: str = "train") -> Task:
    """A note with the object that it states."""
    made = record(rng, split)
    return Task(made.prompt(), json.dumps(made.wanted))


@dataclass(frozen=True)
class Canvases:
    """Rows side by side, all canvases at the right end and of one length.

    `prompts` [batch, time] is padded on the left, `answers` [batch, canvas] with `<eos>` on the
    right, which belongs to the answer.
    """

    prompts: Tensor
    answers: Tensor


def ids_of(tokenizer: PreTrainedTokenizerFast, task: Task) -> tuple[list[int], list[int]]:
    """The tokens of a prompt, `<bos>` first, and of its answer."""
    prompt = [BOS, *tokenizer(task.prompt, add_special_tokens=False).input_ids]
    return prompt, tokenizer(task.answer, add_special_tokens=False).input_ids


def side_by_side(rows: Sequence[tuple[list[int], list[int]]], canvas: int) -> Canvases:
    """Rows as one batch with canvases of so many tokens; raises ValueError if one is too short."""
    longest = max(len(prompt) for prompt, _ in rows)
    prompts = torch.full((len(rows), longest), PAD)
    answers = torch.full((len(rows), canvas), EOS)
    for i, (prompt, answer) in enumerate(rows):
        if len(answer) > canvas:
            raise ValueError(f"an answer of {len(answer)} tokens on a canvas of {canvas}")
        prompts[i, longest - len(prompt) :] = torch.tensor(prompt)
        answers[i, : len(answer)] = torch.tensor(answer)
    return Canvases(prompts, answers)


@dataclass
class CanvasStream:
    """Endless batches of `rows` rows, lists and records by turns, rows of similar length together.

    The same seed gives the same batches.
    """

    tokenizer: PreTrainedTokenizerFast
    rows: int
    seed: int
    together: int = 16
    kinds: tuple[tuple[MakeTask, tuple[int, ...]], ...] = (
        (list_task, LIST_CANVASES),
        (record_task, RECORD_CANVASES),
    )

    def __iter__(self) -> Iterator[Canvases]:
        rng = random.Random(self.seed)
        while True:
            made = [self._pool(make, canvases, rng) for make, canvases in self.kinds]
            for batches in zip(*made, strict=True):
                yield from batches

    def _pool(
        self, make: MakeTask, canvases: tuple[int, ...], rng: random.Random
    ) -> list[Canvases]:
        rows = [ids_of(self.tokenizer, make(rng)) for _ in range(self.rows * self.together)]
        rows = [row for row in rows if len(row[1]) <= max(canvases)]
        rows += rows[: self.rows * self.together - len(rows)]
        rows.sort(key=lambda row: len(row[0]) + 2 * rng.random())
        batches = []
        for start in range(0, len(rows), self.rows):
            batch = rows[start : start + self.rows]
            needed = max(len(answer) for _, answer in batch)
            batches.append(side_by_side(batch, rng.choice([c for c in canvases if c >= needed])))
        rng.shuffle(batches)
        return batches


def canvas_tokenizer(size: int, seed: int, texts: int = 8_000) -> PreTrainedTokenizerFast:
    """A tokenizer learned on training tasks; every word of a list is one token."""
    rng = random.Random(seed)
    tasks = [make(rng) for _ in range(texts // 2) for make in (list_task, record_task)]
    made = [task.prompt + task.answer for task in tasks]
    values = [str(value) for _ in range(texts) for value in record(rng).wanted.values()]
    tokenizer = train_tokenizer(made, size, glue_words(made, [*values, *pool()], 200))
    whole = [word for word in pool() if len(tokenizer(f'"{word}"').input_ids) != 4]
    if whole:
        raise ValueError(f"{size} ids leave words of lists in pieces: {', '.join(whole)}")
    return tokenizer
