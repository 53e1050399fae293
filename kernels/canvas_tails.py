"""Where a rule can end after a terminal that is in progress at a position of the right table.

A call that passes all of a canvas writes some five thousand bytes. What is asked for most often
gets along with few arrays, and is tried first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from guided.kernels.canvas_arrays import BYTE, FULL, LAST, MASK, UNKNOWN
from guided.kernels.canvas_ends import N_TAILS, NONE, find_tail, joined
from guided.kernels.canvas_sets import after_byte, after_text, after_token, find_side
from guided.kernels.compiling import folded, lean

#: The way is not one of known steps without gaps and mids.
_OPEN = -3


class _Steps(NamedTuple):
    """What of a lattice and of the sets it takes to follow known steps."""

    kind: Any
    byte: Any
    loop: Any
    id: Any
    unit: Any
    may_mid: Any
    step: Any
    after_token: Any
    accepts: Any


class _Tails(NamedTuple):
    """What of a right table it takes to add terminals in progress."""

    size: Any
    rows: Any
    index: Any
    tails: Any
    tail: Any
    chain: Any


@folded
def _has_sides(lat, at):  # type: ignore[no-untyped-def]
    return lat.kind[at] == MASK and lat.may_mid[lat.unit[at]] != 0


@lean
def _side_row(rules, sets, mids, lat, table, at, q, number, row):  # type: ignore[no-untyped-def]
    """`row` with the ends of q at the mids of `at` where the terminal may end."""
    if not find_side(rules, sets, mids, number):
        return np.int64(FULL)
    for i in range(sets.side[number, 0], sets.side[number, 1]):
        mid = lat.mid[lat.unit[at], sets.side_mid[i]]
        if mid >= 0:
            row = joined(table, row, np.int64(table.index[mid, q]))
            if row == FULL:
                return row
    return row


@folded
def with_sides(rules, sets, mids, lat, table, at, q, number, row):  # type: ignore[no-untyped-def]
    """`row` with the ends of q at the mids of `at` where the terminal may end; FULL."""
    if not _has_sides(lat, at):
        return row
    return _side_row(rules, sets, mids, lat, table, at, q, number, row)


@lean
def _short_tail(steps, table, p, q, number):  # type: ignore[no-untyped-def]
    """As `tail_row`, _OPEN (and nothing done) where not all steps are known and plain."""
    states = np.int64(table.index.shape[1])
    at = np.int64(p)
    chain = table.chain
    length = np.int64(0)
    result = np.int64(NONE)
    while True:
        if steps.loop[at]:
            return np.int64(_OPEN)
        place = np.int64(steps.id[at])
        key = (place * states + q) << 32 | number
        slot = find_tail(table.tails, key, place)
        if table.tails[slot, 0] == key:
            result = table.tails[slot, 1]
            break
        if _has_sides(steps, at):
            return np.int64(_OPEN)
        chain[3 * length] = at
        chain[3 * length + 1] = number
        chain[3 * length + 2] = slot
        length += 1
        if steps.kind[at] == LAST:
            break
        if steps.kind[at] == BYTE:
            number = np.int64(steps.step[number, steps.byte[at]])
        else:
            number = np.int64(steps.after_token[number])
        if number == UNKNOWN:
            return np.int64(_OPEN)
        if number < 0:
            break
        at += 1
    if 2 * (table.size[N_TAILS] + length) > len(table.tails):
        return np.int64(FULL)
    while length > 0:
        length -= 1
        at = chain[3 * length]
        number = chain[3 * length + 1]
        place = np.int64(steps.id[at])
        if steps.accepts[number]:
            result = joined(table, result, np.int64(table.index[place, q]))
            if result == FULL:
                return result
        _keep(table, (place * states + q) << 32 | number, place, chain[3 * length + 2], result)
    return result


@folded
def _keep(table, key, place, slot, row):  # type: ignore[no-untyped-def]
    """Enters a tail, at the slot that was free for it before others came."""
    if table.tails[slot, 0] >= 0:
        slot = find_tail(table.tails, key, place)
    table.tails[slot, 0] = key
    table.tails[slot, 1] = row
    table.tail[table.size[N_TAILS]] = slot
    table.size[N_TAILS] += 1


@lean
def _long_tail(rules, sets, mids, lat, tok, most, alphabet, table, p, q, number):  # type: ignore[no-untyped-def]
    """As `tail_row`, whatever lies on the way."""
    states = np.int64(table.index.shape[1])
    at = np.int64(p)
    chain = table.chain
    length = np.int64(0)
    result = np.int64(NONE)
    while True:
        if lat.loop[at]:
            number = after_text(rules, sets, number, alphabet)
            if number == FULL:
                return np.int64(FULL)
        place = np.int64(lat.id[at])
        key = (place * states + q) << 32 | number
        slot = find_tail(table.tails, key, place)
        if table.tails[slot, 0] == key:
            result = table.tails[slot, 1]
            break
        chain[3 * length] = at
        chain[3 * length + 1] = number
        chain[3 * length + 2] = slot
        length += 1
        if lat.kind[at] == LAST:
            break
        if lat.kind[at] == BYTE:
            number = after_byte(rules, sets, number, np.int64(lat.byte[at]))
        else:
            number = after_token(rules, sets, number, tok, most)
        if number == FULL:
            return np.int64(FULL)
        if number < 0:
            break
        at += 1
    if 2 * (table.size[N_TAILS] + length) > len(table.tails):
        return np.int64(FULL)
    while length > 0:
        length -= 1
        at = chain[3 * length]
        number = chain[3 * length + 1]
        result = with_sides(rules, sets, mids, lat, table, at, q, number, result)
        if result == FULL:
            return result
        if sets.accepts[number]:
            result = joined(table, result, np.int64(table.index[lat.id[at], q]))
            if result == FULL:
                return result
        place = np.int64(lat.id[at])
        key = (place * states + q) << 32 | number
        _keep(table, key, place, chain[3 * length + 2], result)
    return result


@folded
def tail_row(rules, sets, mids, lat, tok, most, alphabet, table, p, q, number):  # type: ignore[no-untyped-def]
    """Row of the ends where a terminal is in set `number` at main position p and q comes after it.

    NONE where there is no end, FULL without room.
    """
    steps = _Steps(
        lat.kind,
        lat.byte,
        lat.loop,
        lat.id,
        lat.unit,
        lat.may_mid,
        sets.step,
        sets.after_token,
        sets.accepts,
    )
    tails = _Tails(table.size, table.rows, table.index, table.tails, table.tail, table.chain)
    row = _short_tail(steps, tails, p, q, number)
    if row == _OPEN:
        row = _long_tail(rules, sets, mids, lat, tok, most, alphabet, table, p, q, number)
    return row
