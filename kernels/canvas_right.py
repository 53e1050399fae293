"""The right table: where the rule of a state can end, from every position."""

from __future__ import annotations

import numpy as np

from guided.kernels.canvas_arrays import (
    BYTE,
    FULL,
    LAST,
    MASK,
    N_ROWS,
    OK,
    bit_set,
    new_row,
    trailing_zeros,
)
from guided.kernels.canvas_ends import (
    LOW,
    N_TAILS,
    NONE,
    begin_words,
    find_tail,
    joined,
    merge_ends,
)
from guided.kernels.canvas_sets import after_byte, after_text, after_token, find_side
from guided.kernels.compiling import lean, lean_entry


@lean
def tail_row(rules, sets, mids, lat, tok, most, alphabet, table, p, q, number):  # type: ignore[no-untyped-def]
    """Row of the ends where a terminal is in set `number` at main position p and q comes after it.

    NONE where there is no end, FULL without room.
    """
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
        key = (at * states + q) << 32 | number
        slot = find_tail(table, key)
        if table.key[slot] == key:
            result = np.int64(table.value[slot])
            break
        chain[2 * length] = at
        chain[2 * length + 1] = number
        length += 1
        if lat.kind[at] == LAST:
            break
        if lat.kind[at] == BYTE:
            number = after_byte(rules, sets, number, lat.byte[at])
        else:
            number = after_token(rules, sets, number, tok, most)
        if number == FULL:
            return np.int64(FULL)
        if number < 0:
            break
        at += 1
    if 2 * (table.size[N_TAILS] + length) > len(table.key):
        return np.int64(FULL)
    while length > 0:
        length -= 1
        at = chain[2 * length]
        number = chain[2 * length + 1]
        result = side_row(rules, sets, mids, lat, table, at, q, number, result)
        if result == FULL:
            return result
        if sets.accepts[number]:
            result = joined(table, result, np.int64(table.index[at, q]))
            if result == FULL:
                return result
        key = (at * states + q) << 32 | number
        slot = find_tail(table, key)
        table.key[slot] = key
        table.value[slot] = result
        table.size[N_TAILS] += 1
    return result


@lean
def side_row(rules, sets, mids, lat, table, at, q, number, row):  # type: ignore[no-untyped-def]
    """`row` with the ends of q at the mids of `at` where the terminal may end."""
    place = lat.mid_row[at]
    if lat.kind[at] != MASK or place < 0:
        return row
    if not find_side(rules, sets, mids, number):
        return np.int64(FULL)
    for i in range(sets.side[number, 0], sets.side[number, 1]):
        mid = lat.mid[place, sets.side_mid[i]]
        if mid >= 0:
            row = joined(table, row, np.int64(table.index[mid, q]))
            if row == FULL:
                return row
    return row


@lean
def add_onward(table, lat, ends, q, into, here, skipped):  # type: ignore[no-untyped-def]
    """Adds to row `into` the ends of q from every position of row `ends`; whether it changed.

    `here` is the position whose rows are being made; it is left out where `skipped`.
    """
    changed = False
    width = table.rows.shape[1]
    n_main = len(lat.kind)
    skip_to = np.int64(0)
    for word in range(table.size[LOW], width):
        bits = table.rows[ends, word]
        while bits:
            j = word * 64 + trailing_zeros(bits)
            bits &= bits - np.uint64(1)
            if j < skip_to or (skipped and j == here):
                continue
            row = table.index[j, q]
            if j < n_main and j != here and lat.kind[j] == MASK:
                last = np.int64(lat.hole_end[j])
                k = j + 1
                while k <= last and (table.rows[ends, k >> 6] >> np.uint64(k & 63)) & np.uint64(1):
                    k += 1
                if k > last:
                    row = table.sums[j, q]
                    skip_to = last + 1
            if row >= 0 and merge_ends(table, into, np.int64(row)):
                changed = True
    return changed


@lean
def _main_state(rules, net, sets, mids, lat, tok, most, alphabet, table, p, q):  # type: ignore[no-untyped-def]
    """Completes the row of q at main position p; 1: it changed, 0: it did not, FULL: no room."""
    into = np.int64(table.index[p, q])
    fresh = into < 0
    if fresh:
        into = new_row(table)
        if into == FULL:
            return np.int64(FULL)
    changed = False
    if fresh and net.final[q]:
        bit_set(table.rows, into, p)
        changed = True
    loop = lat.loop[p] != 0
    if fresh or loop:
        for k in range(net.scan_begin[q], net.scan_begin[q + 1]):
            target = np.int64(net.scan_target[k])
            number = np.int64(sets.first[net.scan_lexeme[k]])
            if loop:
                number = after_text(rules, sets, number, alphabet)
                if number == FULL:
                    return np.int64(FULL)
                if sets.accepts[number] and table.index[p, target] >= 0:
                    changed |= merge_ends(table, into, np.int64(table.index[p, target]))
            if not fresh:
                continue
            row = side_row(rules, sets, mids, lat, table, p, target, number, np.int64(NONE))
            if row == FULL:
                return np.int64(FULL)
            if row >= 0:
                changed |= merge_ends(table, into, np.int64(row))
            if lat.kind[p] == LAST:
                continue
            if lat.kind[p] == BYTE:
                number = after_byte(rules, sets, number, lat.byte[p])
            else:
                number = after_token(rules, sets, number, tok, most)
            if number >= 0:
                row = tail_row(
                    rules, sets, mids, lat, tok, most, alphabet, table, p + 1, target, number
                )
                if row == FULL:
                    return np.int64(FULL)
                if row >= 0:
                    changed |= merge_ends(table, into, np.int64(row))
            elif number == FULL:
                return np.int64(FULL)
    for k in range(net.call_begin[q], net.call_begin[q + 1]):
        called = table.index[p, net.start_of[net.call_rule[k]]]
        if called >= 0:
            changed |= add_onward(
                table, lat, called, np.int64(net.call_target[k]), into, p, not loop
            )
    if fresh:
        if changed:
            table.index[p, q] = into
        else:
            table.size[N_ROWS] = into
            return np.int64(0)
    return np.int64(1) if changed else np.int64(0)


@lean
def _mid_state(rules, net, sets, mids, lat, tok, most, alphabet, table, m, mid, q):  # type: ignore[no-untyped-def]
    """The same at a mid of main position m."""
    place = np.int64(lat.mid_row[m])
    p = np.int64(lat.mid[place, mid])
    into = np.int64(table.index[p, q])
    fresh = into < 0
    changed = False
    if fresh:
        into = new_row(table)
        if into == FULL:
            return np.int64(FULL)
        if net.final[q]:
            bit_set(table.rows, into, p)
            changed = True
        for k in range(net.scan_begin[q], net.scan_begin[q + 1]):
            lex = net.scan_lexeme[k]
            target = np.int64(net.scan_target[k])
            for i in range(mids.run[mid, lex, 0], mids.run[mid, lex, 1]):
                onward = lat.mid[place, mids.run_mid[i]]
                row = table.index[onward, target] if onward >= 0 else -1
                if row >= 0:
                    changed |= merge_ends(table, into, np.int64(row))
            leaving = np.int64(mids.run[mid, lex, 2])
            if leaving >= 0:
                row = tail_row(
                    rules, sets, mids, lat, tok, most, alphabet, table, m + 1, target, leaving
                )
                if row == FULL:
                    return np.int64(FULL)
                if row >= 0:
                    changed |= merge_ends(table, into, np.int64(row))
    for k in range(net.call_begin[q], net.call_begin[q + 1]):
        called = table.index[p, net.start_of[net.call_rule[k]]]
        if called >= 0:
            changed |= add_onward(table, lat, called, np.int64(net.call_target[k]), into, p, True)
    if fresh:
        if changed:
            table.index[p, q] = into
        else:
            table.size[N_ROWS] = into
            return np.int64(0)
    return np.int64(1) if changed else np.int64(0)


@lean
def _close_main(rules, net, sets, mids, lat, tok, most, alphabet, table, active, p, cyclic):  # type: ignore[no-untyped-def]
    starts = len(net.start_of)
    everything = lat.loop[p] != 0
    again = True
    while again:
        again = False
        upto = len(net.order) if everything else starts
        for k in range(upto):
            if active[p, net.order[k]] < 0:
                continue
            status = _main_state(
                rules, net, sets, mids, lat, tok, most, alphabet, table, p, np.int64(net.order[k])
            )
            if status == FULL:
                return status
            if status == 1 and (cyclic or everything):
                again = True
    if not everything:
        for k in range(starts, len(net.order)):
            if active[p, net.order[k]] < 0:
                continue
            status = _main_state(
                rules, net, sets, mids, lat, tok, most, alphabet, table, p, np.int64(net.order[k])
            )
            if status == FULL:
                return status
    if lat.kind[p] == MASK:
        for q in range(len(net.order)):
            onward = table.sums[p + 1, q]
            if lat.kind[p + 1] != MASK or lat.hole_end[p] == p + 1:
                onward = table.index[p + 1, q]
            row = joined(table, np.int64(table.index[p, q]), np.int64(onward))
            if row == FULL:
                return row
            table.sums[p, q] = row
    return np.int64(OK)


@lean
def _close_mid(rules, net, sets, mids, lat, tok, most, alphabet, table, active, m, mid, cyclic):  # type: ignore[no-untyped-def]
    starts = len(net.start_of)
    p = np.int64(lat.mid[lat.mid_row[m], mid])
    again = True
    while again:
        again = False
        for k in range(starts):
            if active[p, net.order[k]] < 0:
                continue
            status = _mid_state(
                rules,
                net,
                sets,
                mids,
                lat,
                tok,
                most,
                alphabet,
                table,
                m,
                mid,
                np.int64(net.order[k]),
            )
            if status == FULL:
                return status
            if status == 1 and cyclic:
                again = True
    for k in range(starts, len(net.order)):
        if active[p, net.order[k]] < 0:
            continue
        status = _mid_state(
            rules, net, sets, mids, lat, tok, most, alphabet, table, m, mid, np.int64(net.order[k])
        )
        if status == FULL:
            return status
    return np.int64(OK)


@lean_entry
def fill_right(rules, net, sets, mids, lat, tok, most, alphabet, table, active, cyclic):  # type: ignore[no-untyped-def]
    """Fills the table at the places that the left one (its index is `active`) has; OK or FULL."""
    n_mids = np.int64(len(mids.node_of))
    for p in range(len(lat.kind) - 1, -1, -1):
        begin_words(table, lat, np.int64(p))
        place = np.int64(lat.mid_row[p])
        if lat.kind[p] == MASK and place >= 0:
            for mid in range(n_mids - 1, -1, -1):
                if lat.mid[place, mid] < 0:
                    continue
                status = _close_mid(
                    rules,
                    net,
                    sets,
                    mids,
                    lat,
                    tok,
                    most,
                    alphabet,
                    table,
                    active,
                    p,
                    np.int64(mid),
                    cyclic,
                )
                if status == FULL:
                    return status
        status = _close_main(
            rules, net, sets, mids, lat, tok, most, alphabet, table, active, p, cyclic
        )
        if status == FULL:
            return status
    return np.int64(OK)
