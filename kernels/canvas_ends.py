"""Rows of the right table: positions at which a rule can end."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from guided.kernels.canvas_arrays import FULL, merge, new_row
from guided.kernels.compiling import lean
from guided.kernels.memo_arrays import mix

NONE = -1

# Fields of Right.size after N_ROWS. At the position at hand, rows have words from LOW to MAIN_END
# and from MID_LOW on only: all ends lie behind.
N_TAILS, LOW, MAIN_END, MID_LOW = range(1, 5)


class Right(NamedTuple):
    """Rows of ends. Row numbers are -1 where a row is empty."""

    #: int64[5]: how many rows and tails there are, and the words that are in use.
    size: Any
    #: uint64[..., W].
    rows: Any
    #: int32[P, Q]: row of every state at every position.
    index: Any
    #: int32[M, Q]: of masked positions, the union of the rows up to the end of the hole.
    sums: Any
    #: int64[H], int32[H]: rows of terminals in progress, by position, state after them and set.
    key: Any
    value: Any
    #: int64[2 (M + 1)]: room for the steps of one terminal.
    chain: Any


@lean
def begin_words(table, lat, p):  # type: ignore[no-untyped-def]
    """Notes which words the rows at main position p and behind it have."""
    width = np.int64(table.rows.shape[1])
    table.size[LOW] = p >> 6
    table.size[MAIN_END] = min(width, (len(lat.kind) + 63) >> 6)
    table.size[MID_LOW] = width
    for m in range(p, len(lat.kind)):
        first = np.int64(1) << 40
        if lat.mid_row[m] >= 0:
            for mid in range(lat.mid.shape[1]):
                position = np.int64(lat.mid[lat.mid_row[m], mid])
                if 0 <= position < first:
                    first = position
        if first >> 6 < width:
            table.size[MID_LOW] = max(table.size[MAIN_END], first >> 6)
            break


@lean
def merge_ends(table, into, other):  # type: ignore[no-untyped-def]
    """Adds row `other` to row `into`; whether that changed it."""
    rows = table.rows
    changed = merge(rows, into, other, table.size[LOW], table.size[MAIN_END])
    return changed | merge(rows, into, other, table.size[MID_LOW], np.int64(rows.shape[1]))


@lean
def is_used(table, word):  # type: ignore[no-untyped-def]
    """Whether rows may have ends in a word."""
    return table.size[LOW] <= word < table.size[MAIN_END] or word >= table.size[MID_LOW]


@lean
def find_tail(table, key):  # type: ignore[no-untyped-def]
    """The slot of a key, or the free one where it belongs."""
    last = len(table.key) - 1
    slot = np.int64(mix(np.uint64(11), key) & np.uint64(last))
    while table.key[slot] != key and table.key[slot] >= 0:
        slot = (slot + 1) & last
    return slot


@lean
def joined(table, row, other):  # type: ignore[no-untyped-def]
    """A row that holds both; `row` is changed only where it is negative or marked as own (>= 0)."""
    if other < 0:
        return row
    if row < 0:
        return other
    if row == other:
        return row
    both = new_row(table)
    if both != FULL:
        merge_ends(table, both, row)
        merge_ends(table, both, other)
    return both
