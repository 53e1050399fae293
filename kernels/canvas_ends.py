"""Rows of the right table: positions at which a rule can end."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from guided.kernels.canvas_arrays import FULL, HIGH, UNKNOWN, Rows, merge, new_row
from guided.kernels.compiling import folded, lean
from guided.kernels.memo_arrays import mix

NONE = -1
#: What is added to the row of a tail where it is kept, where 0 says that there is none yet.
KEPT = 2

# Fields of Right.pair.
AFTER, IN, ONWARD = range(3)

# Fields of Right.size after N_ROWS. At the position at hand, rows have words from LOW to END only:
# all ends lie behind it. Boundaries from RIGHT_DONE on are done.
N_TAILS, LOW, END, RIGHT_DONE, STAMP, N_PAIRS = range(1, 7)


class Right(NamedTuple):
    """Rows of ends. Row numbers are -1 where a row is empty.

    What comes first stands last in `rows` and `tail`: the table is cut off at a boundary by
    lowering their sizes to its mark.
    """

    #: int64[7]: how many rows and tails there are, the words in use, the first boundary that is
    #: done, the number of the last change of a row, and how many pairs there are.
    size: Any
    #: uint64[..., W].
    rows: Any
    #: int32[P, Q]: row of every state at every position.
    index: Any
    #: int32[P, K]: rows of terminals in progress, by position and by pair of the state after them
    #: and the set that they are in, KEPT added.
    tails: Any
    #: int32[..., 2]: position and pair of these, in the order in which they came.
    tail: Any
    #: int32[K, 3]: for every pair the state (AFTER), the set (IN) and the pair after one token
    #: (ONWARD; UNKNOWN: not asked for yet, NONE: none). The most common pairs come first.
    pair: Any
    #: int32[H]: hash table of the pairs, -1 is free.
    pair_slot: Any
    #: int32[U + 1, 2]: rows and tails when a boundary was done.
    mark: Any
    #: int64[3 (M + 1)]: room for the steps of one terminal.
    chain: Any
    #: int64[Q], int64[Q]: when the row of a state changed at the position at hand, and when its
    #: calls were last followed.
    changed: Any
    seen: Any
    #: Unions of the rows of states after calls.
    blocks: Any


@folded
def begin_words(table, lat, p):  # type: ignore[no-untyped-def]
    """Notes which words the rows at main position p and behind it have."""
    table.size[LOW] = lat.unit[p] >> 6
    table.size[END] = (lat.used[HIGH] + 63) >> 6


@folded
def merge_ends(table, into, other):  # type: ignore[no-untyped-def]
    """Adds row `other` to row `into`; whether that changed it."""
    return merge(table.rows, into, table.rows, other, table.size[LOW], table.size[END])


@lean
def find_pair(table, q, number):  # type: ignore[no-untyped-def]
    """The pair of state q and set `number`, a new one where need be; FULL without room."""
    last = np.uint64(len(table.pair_slot) - 1)
    slot = mix(mix(np.uint64(7), q), number) & last
    found = np.int64(table.pair_slot[slot])
    while found >= 0:
        if table.pair[found, AFTER] == q and table.pair[found, IN] == number:
            return found
        slot = (slot + np.uint64(1)) & last
        found = np.int64(table.pair_slot[slot])
    new = table.size[N_PAIRS]
    if new >= len(table.pair):
        return np.int64(FULL)
    table.pair[new, AFTER] = q
    table.pair[new, IN] = number
    table.pair[new, ONWARD] = UNKNOWN
    table.pair_slot[slot] = new
    table.size[N_PAIRS] = new + 1
    return new


@folded
def joined(table, row, other):  # type: ignore[no-untyped-def]
    """A row that holds both, one of the two where that will do; FULL without room."""
    return _joined(Rows(table.size, table.rows), row, other)


@lean
def _joined(table, row, other):  # type: ignore[no-untyped-def]
    if other < 0 or row == other:
        return row
    if row < 0:
        return other
    more, less = np.uint64(0), np.uint64(0)
    for word in range(table.size[LOW], table.size[END]):
        more |= table.rows[other, word] & ~table.rows[row, word]
        less |= table.rows[row, word] & ~table.rows[other, word]
    if not more:
        return row
    if not less:
        return other
    both = new_row(table)
    if both != FULL:
        merge_ends(table, both, row)
        merge_ends(table, both, other)
    return both
