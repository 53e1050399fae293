"""Where a rule can end after a terminal that is in progress at a position of the right table.

A call that passes all of a canvas writes some five thousand bytes. What is asked for most often
gets along with few arrays, and is tried first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from guided.kernels.canvas_arrays import BYTE, FULL, LAST, MASK, UNKNOWN
from guided.kernels.canvas_ends import IN, KEPT, N_TAILS, NONE, ONWARD, find_pair, joined
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
    pair: Any
    pair_slot: Any
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


@folded
def _next_pair(steps, table, at, q, pair):  # type: ignore[no-untyped-def]
    """The pair after what follows main position `at`; NONE, UNKNOWN, FULL."""
    if steps.kind[at] == BYTE:
        number = np.int64(steps.step[table.pair[pair, IN], steps.byte[at]])
        return find_pair(table, q, number) if number >= 0 else number
    known = np.int64(table.pair[pair, ONWARD])
    if known == UNKNOWN:
        known = np.int64(steps.after_token[table.pair[pair, IN]])
        if known >= 0:
            known = find_pair(table, q, known)
        if known >= NONE:
            table.pair[pair, ONWARD] = known
    return known


@lean
def _short_tail(steps, table, p, q, number):  # type: ignore[no-untyped-def]
    """As `tail_row`, _OPEN (and nothing done) where not all steps are known and plain."""
    at = np.int64(p)
    pair = find_pair(table, q, number)
    if pair == FULL:
        return pair
    length = np.int64(0)
    result = np.int64(NONE)
    while True:
        if steps.loop[at]:
            return np.int64(_OPEN)
        place = np.int64(steps.id[at])
        known = np.int64(table.tails[place, pair])
        if known:
            result = known - KEPT
            break
        if _has_sides(steps, at):
            return np.int64(_OPEN)
        table.chain[length, 0] = at
        table.chain[length, 1] = pair
        length += 1
        if steps.kind[at] == LAST:
            break
        pair = _next_pair(steps, table, at, q, pair)
        if pair == UNKNOWN:
            return np.int64(_OPEN)
        if pair == FULL:
            return pair
        if pair < 0:
            break
        at += 1
    if table.size[N_TAILS] + length > len(table.tail):
        return np.int64(FULL)
    while length > 0:
        length -= 1
        place = np.int64(steps.id[table.chain[length, 0]])
        pair = np.int64(table.chain[length, 1])
        if steps.accepts[table.pair[pair, IN]]:
            result = joined(table, result, np.int64(table.index[place, q]))
            if result == FULL:
                return result
        _keep(table, place, pair, result)
    return result


@folded
def _keep(table, place, pair, row):  # type: ignore[no-untyped-def]
    """Enters a tail."""
    new = table.size[N_TAILS]
    table.tails[place, pair] = row + KEPT
    table.tail[new, 0] = place
    table.tail[new, 1] = pair
    table.size[N_TAILS] = new + 1


@lean
def _long_tail(rules, sets, mids, lat, tok, most, alphabet, table, p, q, number):  # type: ignore[no-untyped-def]
    """As `tail_row`, whatever lies on the way."""
    at = np.int64(p)
    length = np.int64(0)
    result = np.int64(NONE)
    while True:
        if lat.loop[at]:
            number = after_text(rules, sets, number, alphabet)
            if number == FULL:
                return np.int64(FULL)
        pair = find_pair(table, q, number)
        if pair == FULL:
            return pair
        known = np.int64(table.tails[lat.id[at], pair])
        if known:
            result = known - KEPT
            break
        table.chain[length, 0] = at
        table.chain[length, 1] = pair
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
    if table.size[N_TAILS] + length > len(table.tail):
        return np.int64(FULL)
    while length > 0:
        length -= 1
        at = np.int64(table.chain[length, 0])
        pair = np.int64(table.chain[length, 1])
        number = np.int64(table.pair[pair, IN])
        result = with_sides(rules, sets, mids, lat, table, at, q, number, result)
        if result == FULL:
            return result
        if sets.accepts[number]:
            result = joined(table, result, np.int64(table.index[lat.id[at], q]))
            if result == FULL:
                return result
        _keep(table, np.int64(lat.id[at]), pair, result)
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
    tails = _Tails(
        table.size,
        table.rows,
        table.index,
        table.tails,
        table.tail,
        table.pair,
        table.pair_slot,
        table.chain,
    )
    row = _short_tail(steps, tails, p, q, number)
    if row == _OPEN:
        row = _long_tail(rules, sets, mids, lat, tok, most, alphabet, table, p, q, number)
    return row
