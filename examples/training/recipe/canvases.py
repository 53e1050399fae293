"""Prompts with a canvas to fill: what the masked diffusion model reads and learns from."""

from __future__ import annotations

import functools
import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from .batches import made_ahead, repeated
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
MADE_UP = 0.4
"""Share of the words of training notes that are in no list, so that copying them is learned too."""


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


def record_task(rng: random.Random, made_up: float = MADE_UP) -> Task:
    """A note with the object that it states."""
    made = record(rng, made_up=made_up)
    return Task(made.prompt(), json.dumps(made.wanted))


@dataclass(frozen=True)
class Canvases:
    """Rows side by side, all canvases at the right end and of one length.

    `prompts` [batch, time] is padded on the left, `answers` [batch, canvas] with `<eos>` on the
    right, which belongs to the answer.
    """

    prompts: Tensor
    answers: Tensor

    def to(self, device: str) -> Canvases:
        """The same on another device."""
        return Canvases(self.prompts.to(device), self.answers.to(device))


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


KINDS: tuple[tuple[MakeTask, tuple[int, ...]], ...] = (
    (list_task, LIST_CANVASES),
    (record_task, RECORD_CANVASES),
)
"""What is learned by turns, and the lengths of its canvases."""


@dataclass
class CanvasStream:
    """Endless batches of `rows` rows, lists and records by turns, rows of similar length together.

    The same seed gives the same batches, whatever the number of `workers` that make them (0: this
    process). Every batch comes `uses` times; each time other places of it are masked.
    """

    tokenizer: PreTrainedTokenizerFast
    rows: int
    seed: int
    together: int = 16
    workers: int = 0
    uses: int = 1

    def __iter__(self) -> Iterator[Canvases]:
        return itertools.chain.from_iterable(repeated(self._pools(), self.uses))

    def _pools(self) -> Iterator[list[Canvases]]:
        wanted = ((self, number) for number in itertools.count())
        if not self.workers:
            yield from itertools.starmap(canvas_pool, wanted)
        for arrays in made_ahead(packed_pool, wanted, self.workers):
            yield [Canvases(*(torch.from_numpy(part).long() for part in pair)) for pair in arrays]


def canvas_pool(stream: CanvasStream, number: int) -> list[Canvases]:
    """Some batches of each kind, the kinds by turns."""
    rng = random.Random(f"{stream.seed} {number}")
    made = [_batches_of(stream, *kind, rng) for kind in KINDS]
    return [batch for batches in zip(*made, strict=True) for batch in batches]


def packed_pool(stream: CanvasStream, number: int) -> list[tuple[Any, Any]]:
    """A pool as arrays, which travel between processes without a file handle each."""
    return [
        (batch.prompts.to(torch.int16).numpy(), batch.answers.to(torch.int16).numpy())
        for batch in canvas_pool(stream, number)
    ]


def _batches_of(
    stream: CanvasStream, make: MakeTask, canvases: tuple[int, ...], rng: random.Random
) -> list[Canvases]:
    rows = [ids_of(stream.tokenizer, make(rng)) for _ in range(stream.rows * stream.together)]
    rows = [row for row in rows if len(row[1]) <= max(canvases)]
    rows += rows[: stream.rows * stream.together - len(rows)]
    rows.sort(key=lambda row: len(row[0]) + 2 * rng.random())
    batches = []
    for start in range(0, len(rows), stream.rows):
        batch = rows[start : start + stream.rows]
        needed = max(len(answer) for _, answer in batch)
        batches.append(side_by_side(batch, rng.choice([c for c in canvases if c >= needed])))
    rng.shuffle(batches)
    return batches


def canvas_tokenizer(size: int, seed: int, texts: int = 8_000) -> PreTrainedTokenizerFast:
    """A tokenizer learned on training tasks; every word of a list is one token."""
    rng = random.Random(seed)
    makers = (list_task, functools.partial(record_task, made_up=0))
    tasks = [make(rng) for _ in range(texts // 2) for make in makers]
    made = [task.prompt + task.answer for task in tasks]
    values = [str(value) for _ in range(texts) for value in record(rng).wanted.values()]
    tokenizer = train_tokenizer(made, size, glue_words(made, [*values, *pool()], 200))
    whole = [word for word in pool() if len(tokenizer(f'"{word}"').input_ids) != 4]
    if whole:
        raise ValueError(f"{size} ids leave words of lists in pieces: {', '.join(whole)}")
    return tokenizer
