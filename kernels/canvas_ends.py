"""Rows of the right table: positions at which a rule can end."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from guided.kernels.canvas_arrays import FULL, HIGH, Rows, merge, new_row
from guided.kernels.compiling import folded, lean
from guided.kernels.memo_arrays import mix

NONE = -1
#: Slots of a hash table among which the tails of one position lie, and how many are tried there.
_NEAR = 512
_TRIES = 16

# Fields of Right.size after N_ROWS. At the position at hand, rows have words from LOW to END only:
# all ends lie behind it. Boundaries from RIGHT_DONE on are done.
N_TAILS, LOW, END, RIGHT_DONE, STAMP = range(1, 6)


class Right(NamedTuple):
    """Rows of ends. Row numbers are -1 where a row is empty.

    What comes first stands last in `rows` and `tail`: the table is cut off at a boundary by
    lowering their sizes to its mark.
    """

    #: int64[6]: how many rows and tails there are, the words in use, the first boundary that is
    #: done, and the number of the last change of a row.
    size: Any
    #: uint64[..., W].
    rows: Any
    #: int32[P, Q]: row of every state at every position.
    index: Any
    #: int64[H, 2]: rows of terminals in progress: a key of position, state after them and set, and
    #: the row beside it.
    tails: Any
    #: int32[H]: where these are in the hash table, in the order in which they came.
    tail: Any
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
def find_tail(tails, key, place):  # type: ignore[no-untyped-def]
    """The slot of a key of a position, or the free one where it belongs.

    Those of one position lie near each other, as they are asked for together; anywhere where they
    are too many. Keys may be taken out again in the reverse order.
    """
    last = np.uint64(len(tails) - 1)
    anywhere = mix(np.uint64(11), key)
    slot = (mix(np.uint64(7), place) + anywhere % np.uint64(_NEAR)) & last
    tries = np.int64(0)
    while tails[slot, 0] != key and tails[slot, 0] >= 0:
        tries += 1
        if tries == _TRIES:
            slot = anywhere & last
        else:
            slot = (slot + np.uint64(1)) & last
    return np.int64(slot)


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
