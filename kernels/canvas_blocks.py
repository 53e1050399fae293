"""Unions of the rows of one state over many positions, kept for words and bytes of positions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from guided.kernels.canvas_arrays import bit_set, merge, trailing_zeros
from guided.kernels.compiling import folded, lean

#: Blocks of a word: all of it, then its bytes.
PER_WORD = 9
_ONE = np.uint64(1)
_BYTE = np.uint64(0xFF)


class Blocks(NamedTuple):
    """For some states: where they have rows, and unions of these rows over sets of positions.

    For every word and every byte of the positions the last union that was asked for is kept: what
    is asked next at a neighbouring position is mostly the same, or the same and some more.
    """

    #: int32[n], int32[Q]: the states, and the number of every state among them (-1: none).
    state: Any
    number: Any
    #: uint8[n]: whether the rows of a state hold nothing but their own position.
    alone: Any
    #: uint64[n, W]: positions at which a state has a row that changes no more.
    has: Any
    #: int32[n, 9 W], uint64[n, 9 W]: row of every block (-1: none yet), the positions in it.
    place: Any
    covered: Any
    #: uint64[..., W], int64[1]: the rows, and how many there are.
    rows: Any
    size: Any
    #: uint64[W]: room for the positions that are kept.
    kept: Any


@lean
def settle(blocks, index, position):  # type: ignore[no-untyped-def]
    """Notes that the rows at a position change no more."""
    for who in range(len(blocks.state)):
        if index[position, blocks.state[who]] >= 0:
            bit_set(blocks.has, who, position)


@folded
def _begin(blocks, who, block, need):  # type: ignore[no-untyped-def]
    """(row of a block, positions that it lacks of `need`); the row is -1 where there is no room."""
    row = np.int64(blocks.place[who, block])
    if row < 0:
        row = blocks.size[0]
        if row >= len(blocks.rows):
            return np.int64(-1), need
        blocks.size[0] = row + 1
        blocks.place[who, block] = row
        blocks.covered[who, block] = 0
    covered = blocks.covered[who, block]
    blocks.covered[who, block] = need
    if covered & ~need or covered == 0:
        for k in range(np.uint64(blocks.rows.shape[1])):
            blocks.rows[np.uint64(row), k] = 0
        return row, need
    return row, need & ~covered


@lean
def _byte(blocks, index, rows, who, word, block, need):  # type: ignore[no-untyped-def]
    """The row of a byte of a word with the positions `need`, -1 where there is no room."""
    row, bits = _begin(blocks, who, block, need)
    if row >= 0:
        width = np.int64(blocks.rows.shape[1])
        while bits:
            position = word * 64 + trailing_zeros(bits)
            bits &= bits - _ONE
            other = np.int64(index[position, blocks.state[who]])
            merge(blocks.rows, row, rows, other, np.int64(0), width)
    return row


@lean
def _word(blocks, index, rows, who, word, need):  # type: ignore[no-untyped-def]
    """The row of a word with the positions `need`, -1 where there is no room."""
    first = word * PER_WORD
    row, bits = _begin(blocks, who, first, need)
    if row < 0:
        return row
    width = np.int64(blocks.rows.shape[1])
    zero = np.int64(0)
    for k in range(8):
        part = bits & (_BYTE << np.uint64(8 * k))
        if part & (part - _ONE):
            other = _byte(blocks, index, rows, who, word, first + 1 + k, part)
            if other >= 0:
                merge(blocks.rows, row, blocks.rows, other, zero, width)
                continue
        while part:
            position = word * 64 + trailing_zeros(part)
            part &= part - _ONE
            other = np.int64(index[position, blocks.state[who]])
            merge(blocks.rows, row, rows, other, zero, width)
    return row


@lean
def unite(blocks, index, rows, q, word, bits, into, begin, end):  # type: ignore[no-untyped-def]
    """Adds the rows of q at the positions `bits` of a word to row `into`; whether it changed.

    Words from `begin` to `end` of the rows are read.
    """
    who = np.int64(blocks.number[q])
    changed = False
    if who >= 0:
        bits &= blocks.has[who, word]
        if blocks.alone[who]:
            before = rows[into, word]
            rows[into, word] = before | bits
            return before | bits != before
        if bits & (bits - _ONE):
            row = _word(blocks, index, rows, who, word, bits)
            if row >= 0:
                return merge(rows, into, blocks.rows, row, begin, end)
    while bits:
        position = word * 64 + trailing_zeros(bits)
        bits &= bits - _ONE
        row = np.int64(index[position, q])
        if row >= 0:
            changed |= merge(rows, into, rows, row, begin, end)
    return changed
