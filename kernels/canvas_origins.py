"""Rows of the left table: positions at which a rule may have begun."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from guided.kernels.canvas_arrays import (
    DEAD,
    FULL,
    HIGH,
    LEFT_OUT,
    MOST_INNER,
    N_FREE,
    N_INNER,
    OK,
    WANTS,
    Rows,
    merge,
    new_row,
    trailing_zeros,
)
from guided.kernels.compiling import folded, lean
from guided.kernels.memo_arrays import mix

# Fields of Left.size after N_ROWS. No state waits in the words before NEXT. Words from N_USED up to
# N_SPARE are zero in all rows; boundaries up to LEFT_DONE are done.
N_ENTRIES, N_EPOCHS, N_WAITING, NEXT, N_USED, N_SPARE, LEFT_DONE = range(1, 8)


class Left(NamedTuple):
    """Rows of origins. Row numbers are -1 where a row is empty.

    What comes later stands later in `rows` and `entry`: the table is cut off at a boundary by
    lowering their sizes to its mark.
    """

    #: int64[8]: how many rows, entries, groups of entries and waiting states there are; the first
    #: word of these; the words between which rows are empty; the last boundary that is done.
    size: Any
    #: uint64[..., W + spare].
    rows: Any
    #: int32[P, Q]: row of every state at every position.
    index: Any
    #: int32[..., 4]: terminals in progress: state after them, set, row, whether it is their own.
    entry: Any
    #: int32[M + 1], int32[M + 1]: entries of every main position.
    entry_begin: Any
    entry_end: Any
    #: int32[U + 1, 2]: rows and entries when a boundary was done.
    mark: Any
    #: int32[H, 2]: hash table of the entries of one group: entry, group.
    slot: Any
    #: uint64[Q / 64]: states that are to be looked at, the first one next.
    waits: Any
    #: int32[R]: row of the origins from which a rule has ended here.
    ended: Any
    #: int32[S, Q]: rows of states between the bytes of a token that is tried, S the spare bits.
    local: Any
    #: Unions of the rows of the states that call rules.
    blocks: Any


class Entries(NamedTuple):
    """What of a left table it takes to add terminals in progress: a call passes every field."""

    size: Any
    rows: Any
    entry: Any
    slot: Any


@lean
def merge_origins(table, into, other):  # type: ignore[no-untyped-def]
    """Adds row `other` to row `into`; whether that changed it."""
    rows = table.rows
    changed = merge(rows, into, rows, other, np.int64(0), table.size[N_USED])
    spare = table.size[N_SPARE]
    if spare < rows.shape[1]:
        changed |= merge(rows, into, rows, other, spare, np.int64(rows.shape[1]))
    return changed


@lean
def _adds(table, into, other):  # type: ignore[no-untyped-def]
    """Whether row `other` has a position that row `into` has not."""
    for word in range(table.rows.shape[1]):
        if table.rows[other, word] & ~table.rows[into, word]:
            return not table.size[N_USED] <= word < table.size[N_SPARE]
    return False


@folded
def use_words(table, positions):  # type: ignore[no-untyped-def]
    """Makes room in the rows for so many positions."""
    table.size[N_USED] = (positions + 63) >> 6


@folded
def add_origins(table, index, position, q, row):  # type: ignore[no-untyped-def]
    """Adds `row` to that of q at a position of `index`; 1: it changed, 0: it did not, FULL."""
    return _add_origins(Rows(table.size, table.rows), index, position, q, row)


@lean
def _add_origins(table, index, position, q, row):  # type: ignore[no-untyped-def]
    into = np.int64(index[position, q])
    if into < 0:
        into = new_row(table)
        if into == FULL:
            return into
        index[position, q] = into
    return np.int64(1) if merge_origins(table, into, row) else np.int64(0)


@folded
def begin_entries(table):  # type: ignore[no-untyped-def]
    """Number of the first entry of a new group."""
    table.size[N_EPOCHS] += 1
    return table.size[N_ENTRIES]


@folded
def add_entry(table, first, q, number, row, final):  # type: ignore[no-untyped-def]
    """Adds a terminal in progress to the group of entries from `first` on; 1: new or changed.

    Where `row` is `final`, a new entry shares it until it has to change.
    """
    entries = Entries(table.size, table.rows, table.entry, table.slot)
    return _add_entry(entries, first, q, number, row, final)


@lean
def _add_entry(table, first, q, number, row, final):  # type: ignore[no-untyped-def]
    last = len(table.slot) - 1
    place = np.int64(mix(mix(np.uint64(3), q), number) & np.uint64(last))
    epoch = table.size[N_EPOCHS]
    while table.slot[place, 1] == epoch:
        found = table.slot[place, 0]
        if table.entry[found, 0] == q and table.entry[found, 1] == number:
            return _add_to_entry(table, np.int64(found), row)
        place = (place + 1) & last
    new = table.size[N_ENTRIES]
    if new >= len(table.entry) or 2 * (new - first) > last:
        return np.int64(FULL)
    table.entry[new, 0] = q
    table.entry[new, 1] = number
    table.entry[new, 2] = row
    table.entry[new, 3] = 0
    if not final and _own_row(table, new) == FULL:
        return np.int64(FULL)
    table.slot[place, 0] = new
    table.slot[place, 1] = epoch
    table.size[N_ENTRIES] = new + 1
    return np.int64(1)


@lean
def _add_to_entry(table, found, row):  # type: ignore[no-untyped-def]
    """Adds `row` to an entry; 1: it changed, 0: it did not, FULL."""
    into = np.int64(table.entry[found, 2])
    if into == row or not _adds(table, into, row):
        return np.int64(0)
    if not table.entry[found, 3]:
        into = _own_row(table, found)
        if into == FULL:
            return into
    merge_origins(table, into, row)
    return np.int64(1)


@lean
def _own_row(table, found):  # type: ignore[no-untyped-def]
    """Gives an entry a copy of its row; FULL without room."""
    own = new_row(table)
    if own != FULL:
        merge_origins(table, own, np.int64(table.entry[found, 2]))
        table.entry[found, 2] = own
        table.entry[found, 3] = 1
    return own


@folded
def wait(table, q):  # type: ignore[no-untyped-def]
    """Marks that the row of q at the position at hand has changed."""
    word = np.int64(q) >> 6
    here = np.uint64(1) << np.uint64(q & 63)
    if not table.waits[word] & here:
        table.waits[word] |= here
        table.size[N_WAITING] += 1
        if word < table.size[NEXT]:
            table.size[NEXT] = word


@folded
def next_waiting(table):  # type: ignore[no-untyped-def]
    """The first state that waits, which it no longer does."""
    word = table.size[NEXT]
    while not table.waits[word]:
        word += 1
    table.size[NEXT] = word
    bits = table.waits[word]
    table.waits[word] = bits & (bits - np.uint64(1))
    table.size[N_WAITING] -= 1
    return word * 64 + trailing_zeros(bits)


@folded
def stop_waiting(table):  # type: ignore[no-untyped-def]
    """Lets no state wait."""
    for word in range(len(table.waits)):
        table.waits[word] = 0
    table.size[N_WAITING] = 0
    table.size[NEXT] = 0


@lean
def begin_terminals(net, sets, table, index, place, byte, first):  # type: ignore[no-untyped-def]
    """Adds the terminals that begin at a position to a group of entries; OK or FULL.

    Those that are known not to begin with `byte` (-1: any) are left out.
    """
    for q in range(len(net.final)):
        row = np.int64(index[place, q])
        if row >= 0:
            for k in range(net.scan_begin[q], net.scan_begin[q + 1]):
                number = np.int64(sets.first[net.scan_lexeme[k]])
                if byte >= 0 and sets.step[number, byte] == DEAD:
                    continue
                status = add_entry(table, first, np.int64(net.scan_target[k]), number, row, True)
                if status == FULL:
                    return status
    return np.int64(OK)


@lean
def mid_position(table, lat, unit, mid):  # type: ignore[no-untyped-def]
    """Number of a mid, which is given one when it is first reached; -1: none is left, FULL."""
    position = np.int64(lat.mid[unit, mid])
    if position >= 0:
        return position
    if lat.used[N_INNER] >= lat.used[MOST_INNER]:
        lat.used[LEFT_OUT] = 1
        return np.int64(-1)
    if lat.used[N_FREE] > 0:
        lat.used[N_FREE] -= 1
        position = np.int64(lat.free[lat.used[N_FREE]])
    elif lat.used[HIGH] < len(table.index):
        position = lat.used[HIGH]
        lat.used[HIGH] += 1
        use_words(table, lat.used[HIGH])
    else:
        lat.used[WANTS] = 1
        return np.int64(FULL)
    lat.mid[unit, mid] = position
    lat.used[N_INNER] += 1
    return position
