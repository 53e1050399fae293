"""Unions of rows over positions that are kept, beside unions made each time."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numba import njit

from guided.grammars.canvas.unions import United, new_unions
from guided.kernels.canvas_blocks import settle, unite
from guided.kernels.canvas_cuts import cut_to

WIDTH, STATES = 3, 4
POSITIONS = 64 * WIDTH


@njit
def united(blocks, index, rows, q, word, bits, into):  # type: ignore[no-untyped-def]
    """Calls the kernel, which only kernels call; not kept, as kernels may change."""
    return unite(blocks, index, rows, q, word, bits, into, np.int64(0), np.int64(rows.shape[1]))


@njit
def settled(blocks, index, position):  # type: ignore[no-untyped-def]
    """The same."""
    settle(blocks, index, position)


@njit
def cut(blocks):  # type: ignore[no-untyped-def]
    """The same."""
    cut_to(blocks)


def _numbers(words: np.ndarray) -> set[int]:
    return set(np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist())


def _words(numbers: set[int]) -> np.ndarray:
    bits = np.zeros(POSITIONS, np.uint8)
    bits[sorted(numbers)] = 1
    return np.packbits(bits, bitorder="little").view(np.uint64)


@pytest.mark.parametrize("seed", range(4))
def test_unions_are_those_of_the_rows(seed: int) -> None:
    """States 0 and 1 have rows of any positions, state 2 rows of their own one; 3 is not united."""
    rng = random.Random(seed)
    alone = np.array([False, False, True, False])
    blocks = new_unions(United.of(np.array([0, 1, 2, 1], np.int32), alone), WIDTH)
    index = np.full((POSITIONS, STATES), -1, np.int32)
    rows = np.zeros((STATES * POSITIONS + 1, WIDTH), np.uint64)
    known: dict[tuple[int, int], set[int]] = {}
    asked = {(q, word): 0 for q in range(STATES) for word in range(WIDTH)}
    settled_at: set[int] = set()

    def settle_at(position: int) -> None:
        for q in range(STATES):
            row = q * POSITIONS + position
            index[position, q] = row if rng.random() < 0.7 else -1
            some = set(rng.sample(range(POSITIONS), rng.randrange(5)))
            known[q, position] = {position} if alone[q] else some
            rows[row] = _words(known[q, position])
        settled(blocks, index, position)
        settled_at.add(position)

    for step in range(1500):
        if step % 300 == 299:
            # What is cut off may come back with other rows.
            kept = set(range(rng.randrange(POSITIONS)))
            blocks.kept[:] = _words(kept)
            cut(blocks)
            index[len(kept) :] = -1
            settled_at &= kept
        free = sorted(set(range(POSITIONS)) - settled_at)
        if free and rng.random() < 0.5:
            settle_at(rng.choice(free))
        q, word = rng.randrange(STATES), rng.randrange(WIDTH)
        # The same again, some more, or anything.
        bits = rng.choice([asked[q, word], asked[q, word] | rng.getrandbits(64)])
        bits = bits if rng.random() < 0.8 else rng.getrandbits(64)
        asked[q, word] = bits
        places = [64 * word + k for k in range(64) if bits >> k & 1]
        wanted = set().union(*(known[q, p] for p in places if index[p, q] >= 0))
        into = np.int64(len(rows) - 1)
        before = set(rng.sample(range(POSITIONS), 3))
        rows[into] = _words(before)
        number, at = np.int64(q), np.int64(word)
        changed = united(blocks, index, rows, number, at, np.uint64(bits), into)
        assert _numbers(rows[into]) == before | wanted
        assert changed == (not wanted <= before)
