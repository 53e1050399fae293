"""Unions of the rows of one state over many positions, kept for blocks of positions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from guided.kernels.canvas_arrays import bit_set, merge, trailing_zeros
from guided.kernels.compiling import lean

#: Blocks of a word: all of it, then its bytes.
PER_WORD = 9
_ONE = np.uint64(1)
_BYTE = np.uint64(0xFF)


class Blocks(NamedTuple):
    """For some states: where they have rows, and unions of these rows over blocks of positions."""

    #: int32[n], int32[Q]: the states, and the number of every state among them (-1: none).
    state: Any
    number: Any
    #: uint64[n, W]: positions at which a state has a row that changes no more.
    has: Any
    #: int32[n, 9 W], uint64[n, 9 W]: row of every block (-1: none yet), the positions in it.
    place: Any
    covered: Any
    #: uint64[..., W], int64[1]: the rows, and how many there are.
    rows: Any
    size: Any


@lean
def settle(blocks, index, position):  # type: ignore[no-untyped-def]
    """Notes that the rows at a position change no more."""
    for who in range(len(blocks.state)):
        if index[position, blocks.state[who]] >= 0:
            bit_set(blocks.has, who, position)


@lean
def _block(blocks, index, rows, who, word, block, need):  # type: ignore[no-untyped-def]
    """The row of a block of the positions `need` of a word, -1 where there is no room."""
    row = np.int64(blocks.place[who, block])
    if row < 0:
        row = blocks.size[0]
        if row >= len(blocks.rows):
            return np.int64(-1)
        blocks.size[0] = row + 1
        blocks.place[who, block] = row
        blocks.covered[who, block] = 0
    width = np.int64(blocks.rows.shape[1])
    covered = blocks.covered[who, block]
    if covered & ~need or covered == 0:
        covered = np.uint64(0)
        for k in range(width):
            blocks.rows[row, k] = 0
    bits = need & ~covered
    while bits:
        position = word * 64 + trailing_zeros(bits)
        bits &= bits - _ONE
        other = np.int64(index[position, blocks.state[who]])
        merge(blocks.rows, row, rows, other, np.int64(0), width)
    blocks.covered[who, block] = need
    return row


@lean
def unite(blocks, index, rows, q, word, bits, into, begin, end):  # type: ignore[no-untyped-def]
    """Adds the rows of q at the positions `bits` of a word to row `into`; whether it changed.

    Words from `begin` to `end` of the rows are read.
    """
    who = np.int64(blocks.number[q])
    changed = False
    if who >= 0:
        have = blocks.has[who, word]
        bits &= have
        if bits & (bits - _ONE):
            first = word * PER_WORD
            if bits == have:
                row = _block(blocks, index, rows, who, word, first, have)
                if row >= 0:
                    return merge(rows, into, blocks.rows, row, begin, end)
            for k in range(8):
                part = have & (_BYTE << np.uint64(8 * k))
                if part & (part - _ONE) and bits & part == part:
                    row = _block(blocks, index, rows, who, word, first + 1 + k, part)
                    if row >= 0:
                        changed |= merge(rows, into, blocks.rows, row, begin, end)
                        bits &= ~part
    while bits:
        position = word * 64 + trailing_zeros(bits)
        bits &= bits - _ONE
        row = np.int64(index[position, q])
        if row >= 0:
            changed |= merge(rows, into, rows, row, begin, end)
    return changed
