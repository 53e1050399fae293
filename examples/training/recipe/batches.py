"""Rows, batches of them, and where they come from: this process or several workers."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import torch
from torch import Tensor

from .model import PAD

IGNORED = -100


@dataclass(frozen=True)
class Row:
    """Token ids of one example; `target[i]` says whether `ids[i]` is to be learned.

    Several answers to one text are branches: each of `starts` begins one, and no branch sees
    another. What stands before the first start is seen by all.

    Hints, where a task has them: `roles[i]` is the class of token i, given for the first tokens
    (`IGNORED`: not known), `sources[i]` the place of the token that `ids[i]` copies (-1: none).
    """

    ids: list[int]
    target: list[bool]
    starts: tuple[int, ...] = ()
    roles: tuple[int, ...] = ()
    sources: tuple[int, ...] = ()


MakeRow = Callable[[random.Random, int], Row]
"""Makes a fresh example from a generator; gets the number of the step it is made for."""


@dataclass(frozen=True)
class Batch:
    """Rows side by side, all [batch, time], right-padded.

    Labels are shifted by one, and so are `sources`: where the token stands that comes next.
    """

    inputs: Tensor
    labels: Tensor
    positions: Tensor
    branches: Tensor
    roles: Tensor
    sources: Tensor

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The fields in their order."""
        parts = self.inputs, self.labels, self.positions, self.branches
        return (*parts, self.roles, self.sources)

    def to(self, device: str) -> Batch:
        """The same batch on a device."""
        return Batch(*(part.to(device, non_blocking=True) for part in self.parts))

    @property
    def learned(self) -> Tensor:
        """True where a token is to be learned."""
        return self.labels >= 0


@dataclass(frozen=True)
class Supply:
    """How rows become batches: `micro` rows of similar length each, out of pools of `pool` rows.

    Pools do not depend on the number of workers (0: this process makes them).
    """

    micro: int = 4
    pool: int = 1024
    longest: int = 256
    seed: int = 0
    workers: int = 0


def padded(rows: Sequence[list[int]], filler: int = PAD) -> Tensor:
    """Rows as integers [rows, longest], right-padded."""
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])


def by_length(rows: Sequence[Sized], size: int) -> Iterator[list[int]]:
    """The numbers of all rows, short rows first, `size` of them at a time."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def collate(rows: list[Row]) -> Batch:
    """Rows as a batch."""
    length = max(len(row.ids) for row in rows) - 1
    inputs = torch.full((len(rows), length), PAD)
    labels = torch.full((len(rows), length), IGNORED)
    positions, branches = torch.zeros_like(inputs), torch.zeros_like(inputs)
    roles, sources = torch.full_like(inputs, IGNORED), torch.full_like(inputs, -1)
    for i, row in enumerate(rows):
        size = len(row.ids) - 1
        inputs[i, :size] = torch.tensor(row.ids[:-1])
        wanted = [t if on else IGNORED for t, on in zip(row.ids[1:], row.target[1:], strict=True)]
        labels[i, :size] = torch.tensor(wanted)
        roles[i, : len(row.roles)] = torch.tensor(row.roles, dtype=torch.long)
        sources[i, : len(row.sources[1:])] = torch.tensor(row.sources[1:], dtype=torch.long)
        positions[i, :size] = torch.arange(size)
        for number, start in enumerate(row.starts, 1):
            branches[i, start:] = number
            positions[i, start:size] = torch.arange(size - start) + row.starts[0]
    return Batch(inputs, labels, positions, branches, roles, sources)


def pool_of(make_row: MakeRow, supply: Supply, number: int, step: int) -> list[Batch]:
    """The batches of one pool in random order."""
    rng = random.Random(f"{supply.seed} {number}")
    rows = [make_row(rng, step) for _ in range(supply.pool)]
    rows = [row for row in rows if len(row.ids) <= supply.longest]
    rows.sort(key=lambda row: len(row.ids) + 3 * rng.random())
    batches = [collate(rows[i : i + supply.micro]) for i in range(0, len(rows), supply.micro)]
    rng.shuffle(batches)
    return batches


def packed_pool(make_row: MakeRow, supply: Supply, number: int, step: int) -> list[Any]:
    """A pool as arrays, which travel between processes without a file handle each."""
    batches = pool_of(make_row, supply, number, step)
    return [torch.stack(batch.parts).to(torch.int32).numpy() for batch in batches]


def repeated(made: Iterator[list[Batch]], times: int, apart: int = 8) -> Iterator[list[Batch]]:
    """Every pool `times` times, `apart` pools later each time: where making rows takes longest."""
    again = times - 1
    held: deque[tuple[list[Batch], int]] = deque()
    for fresh in made:
        yield fresh
        held.extend([(fresh, again)] * (again > 0))
        for _ in range(again if len(held) > apart * again else 0):
            pool, left = held.popleft()
            yield pool
            if left > 1:
                held.append((pool, left - 1))


def pools(make_row: MakeRow, supply: Supply, steps_each: int) -> Generator[list[Batch], None, None]:
    """Endless pools, each of which lasts about `steps_each` steps; no row is made twice."""
    wanted = ((make_row, supply, number, number * steps_each) for number in itertools.count())
    if not supply.workers:
        yield from itertools.starmap(pool_of, wanted)
    for arrays in made_ahead(packed_pool, wanted, supply.workers):
        yield [Batch(*torch.from_numpy(array).long()) for array in arrays]


def made_ahead(
    make: Callable[..., Any], wanted: Iterable[tuple[Any, ...]], workers: int
) -> Generator[Any, None, None]:
    """What `make` makes of each tuple of arguments, in their order, by worker processes."""
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as crew:
        ahead: deque[Future[Any]] = deque()
        for arguments in wanted:
            ahead.append(crew.submit(make, *arguments))
            if len(ahead) >= 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
