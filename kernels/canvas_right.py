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
)
from guided.kernels.canvas_blocks import settle, unite
from guided.kernels.canvas_ends import (
    END,
    LOW,
    N_TAILS,
    NONE,
    RIGHT_DONE,
    STAMP,
    begin_words,
    merge_ends,
)
from guided.kernels.canvas_sets import after_byte, after_text, after_token
from guided.kernels.canvas_tails import tail_row, with_sides
from guided.kernels.compiling import folded, lean, lean_entry


@lean
def add_onward(table, ends, q, into, here):  # type: ignore[no-untyped-def]
    """Adds to row `into` the ends of q from every position of row `ends`; whether it changed.

    `here` is the position whose rows are being made, -1: none is.
    """
    changed = False
    end = table.size[END]
    for word in range(table.size[LOW], end):
        bits = table.rows[ends, word]
        if bits:
            low = table.size[LOW]
            changed |= unite(table.blocks, table.index, table.rows, q, word, bits, into, low, end)
    if here >= 0 and (table.rows[ends, here >> 6] >> np.uint64(here & 63)) & np.uint64(1):
        row = np.int64(table.index[here, q])
        if row >= 0 and row != into:
            changed |= merge_ends(table, into, row)
    return changed


@folded
def _scans(rules, net, sets, mids, lat, tok, most, alphabet, table, p, q, into):  # type: ignore[no-untyped-def]
    """Adds the ends of q behind the terminals that it begins with; 1: changed, 0: not, FULL."""
    changed = False
    for k in range(net.scan_begin[q], net.scan_begin[q + 1]):
        target = np.int64(net.scan_target[k])
        number = np.int64(sets.first[net.scan_lexeme[k]])
        if lat.loop[p]:
            number = after_text(rules, sets, number, alphabet)
            if number == FULL:
                return number
        row = with_sides(rules, sets, mids, lat, table, p, target, number, np.int64(NONE))
        if row == FULL:
            return row
        if row >= 0:
            changed |= merge_ends(table, into, row)
        if lat.kind[p] == LAST:
            continue
        if lat.kind[p] == BYTE:
            number = after_byte(rules, sets, number, np.int64(lat.byte[p]))
        else:
            number = after_token(rules, sets, number, tok, most)
        if number == FULL:
            return number
        if number >= 0:
            row = tail_row(
                rules, sets, mids, lat, tok, most, alphabet, table, p + 1, target, number
            )
            if row == FULL:
                return row
            if row >= 0:
                changed |= merge_ends(table, into, row)
    return np.int64(1) if changed else np.int64(0)


@lean
def _mid_scans(rules, net, sets, mids, lat, tok, most, alphabet, table, m, mid, q, into):  # type: ignore[no-untyped-def]
    """The same at a mid of main position m."""
    changed = False
    unit = np.int64(lat.unit[m])
    for k in range(net.scan_begin[q], net.scan_begin[q + 1]):
        lex = net.scan_lexeme[k]
        target = np.int64(net.scan_target[k])
        for i in range(mids.run[mid, lex, 0], mids.run[mid, lex, 1]):
            onward = lat.mid[unit, mids.run_mid[i]]
            row = np.int64(table.index[onward, target]) if onward >= 0 else np.int64(NONE)
            if row >= 0:
                changed |= merge_ends(table, into, row)
        leaving = np.int64(mids.run[mid, lex, 2])
        if leaving >= 0:
            row = tail_row(
                rules, sets, mids, lat, tok, most, alphabet, table, m + 1, target, leaving
            )
            if row == FULL:
                return row
            if row >= 0:
                changed |= merge_ends(table, into, row)
    return np.int64(1) if changed else np.int64(0)


@folded
def _texts(rules, net, sets, alphabet, table, place, q, into):  # type: ignore[no-untyped-def]
    """Adds the ends of q behind terminals that lie inside of a gap; 1: changed, 0: not, FULL."""
    changed = False
    for k in range(net.scan_begin[q], net.scan_begin[q + 1]):
        number = np.int64(sets.first[net.scan_lexeme[k]])
        number = after_text(rules, sets, number, alphabet)
        if number == FULL:
            return number
        row = np.int64(table.index[place, net.scan_target[k]])
        if sets.accepts[number] and row >= 0 and row != into:
            changed |= merge_ends(table, into, row)
    return np.int64(1) if changed else np.int64(0)


@folded
def _calls(net, table, place, q, into, loop):  # type: ignore[no-untyped-def]
    """Adds the ends of q behind the rules that it calls; whether its row changed.

    Calls whose rows have not changed since are passed over, but in gaps.
    """
    changed = False
    before = table.seen[q]
    table.seen[q] = table.size[STAMP]
    for k in range(net.call_begin[q], net.call_begin[q + 1]):
        start = np.int64(net.start_of[net.call_rule[k]])
        called = np.int64(table.index[place, start])
        if called >= 0 and (loop or table.changed[start] > before):
            here = place if loop else np.int64(-1)
            changed |= add_onward(table, called, np.int64(net.call_target[k]), into, here)
    return changed


@folded
def _state(rules, net, sets, mids, lat, tok, most, alphabet, table, p, mid, place, q):  # type: ignore[no-untyped-def]
    """Completes the row of q at main position p, or at its mid; 1: changed, 0: not, FULL."""
    into = np.int64(table.index[place, q])
    fresh = into < 0
    loop = mid < 0 and lat.loop[p] != 0
    if fresh:
        into = new_row(table)
        if into == FULL:
            return into
    status = np.int64(0)
    if table.seen[q] < 0:
        if mid < 0:
            status = _scans(rules, net, sets, mids, lat, tok, most, alphabet, table, p, q, into)
        else:
            status = _mid_scans(
                rules, net, sets, mids, lat, tok, most, alphabet, table, p, mid, q, into
            )
        if status == FULL:
            return status
        if net.final[q]:
            bit_set(table.rows, into, place)
            status = np.int64(1)
    changed = status == 1
    if loop:
        status = _texts(rules, net, sets, alphabet, table, place, q, into)
        if status == FULL:
            return status
        changed |= status == 1
    changed |= _calls(net, table, place, q, into, loop)
    if changed:
        table.size[STAMP] += 1
        table.changed[q] = table.size[STAMP]
        table.index[place, q] = into
    elif fresh:
        # Terminals in progress have left no rows behind it, or there would be ends.
        table.size[N_ROWS] = into
    return np.int64(1) if changed else np.int64(0)


@lean
def _close(rules, net, sets, mids, lat, tok, most, alphabet, table, active, p, mid, place, cyclic):  # type: ignore[no-untyped-def]
    """Fills the rows at main position p, or at its mid, number `place`; OK or FULL."""
    starts = len(net.start_of)
    for state in range(len(net.order)):
        table.index[place, state] = -1
        table.changed[state] = 0
        table.seen[state] = -1
    table.size[STAMP] = 0
    everything = mid < 0 and lat.loop[p] != 0
    upto = len(net.order) if everything else starts
    begin = 0
    again = True
    while again:
        again = False
        for k in range(begin, upto):
            q = np.int64(net.order[k])
            if active[place, q] < 0:
                continue
            status = _state(
                rules, net, sets, mids, lat, tok, most, alphabet, table, p, mid, place, q
            )
            if status == FULL:
                return status
            if status == 1 and (cyclic or everything):
                again = True
        if not again and upto < len(net.order):
            # The first states of rules are done: what calls them follows.
            begin = upto
            upto = len(net.order)
            cyclic = False
            again = True
    settle(table.blocks, table.index, place)
    return np.int64(OK)


@lean
def _close_unit(rules, net, sets, mids, lat, tok, most, alphabet, table, active, unit, cyclic):  # type: ignore[no-untyped-def]
    """Fills the rows from boundary `unit` up to the next one; OK or FULL."""
    for p in range(lat.main[unit + 1] - 1, lat.main[unit] - 1, -1):
        begin_words(table, lat, np.int64(p))
        for mid in range(lat.mid.shape[1] - 1, -2, -1):
            place = np.int64(lat.id[p])
            if mid >= 0:
                place = np.int64(lat.mid[unit, mid])
                if lat.kind[p] != MASK or not lat.may_mid[unit] or place < 0:
                    continue
            status = _close(
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
                np.int64(p),
                np.int64(mid),
                place,
                cyclic,
            )
            if status == FULL:
                return status
    return np.int64(OK)


@lean_entry
def fill_right(rules, net, sets, mids, lat, tok, most, alphabet, table, active, cyclic, downto):  # type: ignore[no-untyped-def]
    """Fills the table down to the boundary `downto`, at the places that the left one has.

    OK, or FULL with RIGHT_DONE at what is done. `active` is the left table's index.
    """
    last = len(lat.main) - 1
    for boundary in range(table.size[RIGHT_DONE] - 1, downto - 1, -1):
        status = np.int64(OK)
        if boundary == last:
            p = np.int64(lat.main[last])
            begin_words(table, lat, p)
            place = np.int64(lat.id[p])
            status = _close(
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
                np.int64(-1),
                place,
                cyclic,
            )
        else:
            status = _close_unit(
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
                np.int64(boundary),
                cyclic,
            )
        if status == FULL:
            return status
        table.mark[boundary, 0] = table.size[N_ROWS]
        table.mark[boundary, 1] = table.size[N_TAILS]
        table.size[RIGHT_DONE] = boundary
    return np.int64(OK)
