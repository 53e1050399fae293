"""The left table: where the rule of a state may have begun, at every position."""

from __future__ import annotations

import numpy as np

from guided.kernels.canvas_arrays import (
    BYTE,
    FULL,
    HIGH,
    MASK,
    N_ROWS,
    OK,
    bit_set,
    bit_test,
    may_go_on,
    new_row,
    trailing_zeros,
)
from guided.kernels.canvas_blocks import settle, unite
from guided.kernels.canvas_origins import (
    LEFT_DONE,
    N_ENTRIES,
    N_SPARE,
    N_USED,
    N_WAITING,
    add_entry,
    add_origins,
    begin_entries,
    begin_terminals,
    mid_position,
    next_waiting,
    stop_waiting,
    use_words,
    wait,
)
from guided.kernels.canvas_sets import after_byte, after_text, after_token, find_side
from guided.kernels.compiling import folded, lean, lean_entry


@folded
def _predict(net, table, index, position, bit, loop, byte, q):  # type: ignore[no-untyped-def]
    """Begins the rules that q calls; FULL without room."""
    row = np.int64(index[position, q])
    for k in range(net.call_begin[q], net.call_begin[q + 1]):
        rule = net.call_rule[k]
        start = np.int64(net.start_of[rule])
        if not may_go_on(net, start, byte):
            continue
        first = np.int64(index[position, start])
        if first < 0:
            first = new_row(table)
            if first == FULL:
                return first
            index[position, start] = first
        if not bit_test(table.rows, first, bit):
            bit_set(table.rows, first, bit)
            wait(table, start)
        ended = np.int64(table.ended[rule])
        if loop and ended >= 0 and bit_test(table.rows, ended, bit):
            # The rule fits into a gap as a whole.
            target = np.int64(net.call_target[k])
            status = add_origins(table, index, position, target, row)
            if status == FULL:
                return status
            if status:
                wait(table, target)
    return np.int64(OK)


@folded
def _go_on(net, table, local, n_bits, index, position, byte, q, word, bits):  # type: ignore[no-untyped-def]
    """Goes on after the rule of q that began at `bits` of a word; FULL without room."""
    rule = net.rule_of[q]
    real = word < table.size[N_USED]
    for k in range(net.caller_begin[rule], net.caller_begin[rule + 1]):
        caller = np.int64(net.caller_state[k])
        target = np.int64(net.caller_target[k])
        if not may_go_on(net, target, byte):
            continue
        into = np.int64(index[position, target])
        if real:
            # A row that stays empty is given back.
            fresh = into < 0
            if fresh:
                into = new_row(table)
                if into == FULL:
                    return into
            end = table.size[N_USED]
            zero = np.int64(0)
            if unite(table.blocks, table.index, table.rows, caller, word, bits, into, zero, end):
                index[position, target] = into
                wait(table, target)
            elif fresh:
                table.size[N_ROWS] = into
            continue
        rest = bits
        while rest:
            before = np.int64(local[word * 64 + trailing_zeros(rest) - n_bits, caller])
            rest &= rest - np.uint64(1)
            if before < 0:
                continue
            status = add_origins(table, index, position, target, before)
            if status == FULL:
                return status
            if status:
                wait(table, target)
    return np.int64(OK)


@lean
def _complete(net, table, local, n_bits, index, position, bit, loop, byte, q):  # type: ignore[no-untyped-def]
    """Goes on after the rule of q with whatever called it; FULL without room."""
    rule = net.rule_of[q]
    row = np.int64(index[position, q])
    ended = np.int64(table.ended[rule])
    if ended < 0:
        ended = new_row(table)
        if ended == FULL:
            return ended
        table.ended[rule] = ended
    here = np.uint64(1) << np.uint64(bit & 63)
    for word in range(table.rows.shape[1]):
        if table.size[N_USED] <= word < table.size[N_SPARE]:
            continue
        bits = table.rows[row, word] & ~table.rows[ended, word]
        table.rows[ended, word] |= bits
        if word == bit >> 6 and bits & here:
            bits &= ~here
            if loop:
                # The rule lies inside of a gap as a whole.
                for k in range(net.caller_begin[rule], net.caller_begin[rule + 1]):
                    before = np.int64(index[position, net.caller_state[k]])
                    if before >= 0:
                        target = np.int64(net.caller_target[k])
                        status = add_origins(table, index, position, target, before)
                        if status == FULL:
                            return status
                        if status:
                            wait(table, target)
        if bits and _go_on(net, table, local, n_bits, index, position, byte, q, word, bits) == FULL:
            return np.int64(FULL)
    return np.int64(OK)


@lean
def close(rules, net, sets, table, local, n_bits, position, alphabet, loop, byte, first):  # type: ignore[no-untyped-def]
    """Adds what follows at a position from the states that wait; OK or FULL.

    Positions from `n_bits` on are those of `local`. In a gap (`loop`) terminals begin and end at
    the same position; they are added to the group of entries from `first` on. Elsewhere states
    are left out that may not go on with `byte` (-1: any).
    """
    virtual = position >= n_bits
    index = local if virtual else table.index
    place = position - n_bits if virtual else position
    for rule in range(len(table.ended)):
        table.ended[rule] = -1
    while table.size[N_WAITING] > 0:
        q = next_waiting(table)
        status = _predict(net, table, index, place, position, loop, byte, q)
        if status == FULL:
            return status
        if net.final[q]:
            status = _complete(net, table, local, n_bits, index, place, position, loop, byte, q)
            if status == FULL:
                return status
        if loop:
            row = np.int64(index[place, q])
            for k in range(net.scan_begin[q], net.scan_begin[q + 1]):
                number = after_text(rules, sets, np.int64(sets.first[net.scan_lexeme[k]]), alphabet)
                if number == FULL:
                    return number
                status = add_entry(table, first, net.scan_target[k], number, row, False)
                if status == FULL:
                    return status
                if status and sets.accepts[number]:
                    target = np.int64(net.scan_target[k])
                    status = add_origins(table, index, place, target, row)
                    if status == FULL:
                        return status
                    if status:
                        wait(table, target)
    if not virtual:
        settle(table.blocks, index, place)
    return np.int64(OK)


@lean
def _enter(rules, net, sets, lat, alphabet, table, p, first):  # type: ignore[no-untyped-def]
    """Ends terminals at main position p and begins those that may follow; OK or FULL."""
    loop = lat.loop[p] != 0
    byte = np.int64(-1)
    if lat.kind[p] == BYTE and not loop:
        byte = np.int64(lat.byte[p])
    place = np.int64(lat.id[p])
    carried = table.size[N_ENTRIES]
    if loop:
        # What any text makes of the terminals in progress becomes a group of its own.
        first = begin_entries(table)
        for i in range(table.entry_begin[p], carried):
            number = after_text(rules, sets, np.int64(table.entry[i, 1]), alphabet)
            if number == FULL:
                return number
            row = np.int64(table.entry[i, 2])
            if add_entry(table, first, np.int64(table.entry[i, 0]), number, row, True) == FULL:
                return np.int64(FULL)
        table.entry_begin[p] = first
        carried = table.size[N_ENTRIES]
    for i in range(first, carried):
        if sets.accepts[table.entry[i, 1]]:
            q = np.int64(table.entry[i, 0])
            if not may_go_on(net, q, byte):
                continue
            status = add_origins(table, table.index, place, q, np.int64(table.entry[i, 2]))
            if status == FULL:
                return status
            wait(table, q)
    n_bits = np.int64(1) << 40
    status = close(rules, net, sets, table, table.local, n_bits, place, alphabet, loop, byte, first)
    if status != FULL and not loop:
        status = begin_terminals(net, sets, table, table.index, place, byte, first)
    table.entry_end[p] = table.size[N_ENTRIES]
    return status


@lean
def _forget(table, position):  # type: ignore[no-untyped-def]
    """Empties the rows at a position."""
    for q in range(table.index.shape[1]):
        table.index[position, q] = -1


@lean
def _enter_mids(rules, sets, mids, lat, table, p):  # type: ignore[no-untyped-def]
    """Ends the terminals in progress at the mids of p; OK or FULL."""
    unit = np.int64(lat.unit[p])
    for mid in range(lat.mid.shape[1]):
        if lat.mid[unit, mid] >= 0:
            _forget(table, np.int64(lat.mid[unit, mid]))
    for i in range(table.entry_begin[p], table.entry_end[p]):
        number = np.int64(table.entry[i, 1])
        if not find_side(rules, sets, mids, number):
            return np.int64(FULL)
        for k in range(sets.side[number, 0], sets.side[number, 1]):
            position = mid_position(table, lat, unit, np.int64(sets.side_mid[k]))
            if position == FULL:
                return position
            if position < 0:
                continue
            q = np.int64(table.entry[i, 0])
            row = np.int64(table.entry[i, 2])
            if add_origins(table, table.index, position, q, row) == FULL:
                return np.int64(FULL)
    return np.int64(OK)


@lean
def _leave_mid(net, mids, lat, table, unit, mid, place, first):  # type: ignore[no-untyped-def]
    """Adds the terminals that begin at a mid to what they lead to; OK or FULL."""
    for q in range(len(net.final)):
        row = np.int64(table.index[place, q])
        if row < 0:
            continue
        for k in range(net.scan_begin[q], net.scan_begin[q + 1]):
            lex = net.scan_lexeme[k]
            target = np.int64(net.scan_target[k])
            for i in range(mids.run[mid, lex, 0], mids.run[mid, lex, 1]):
                ended = mid_position(table, lat, unit, np.int64(mids.run_mid[i]))
                if ended == FULL:
                    return ended
                if ended < 0:
                    continue
                if add_origins(table, table.index, ended, target, row) == FULL:
                    return np.int64(FULL)
            leaving = np.int64(mids.run[mid, lex, 2])
            if leaving >= 0 and add_entry(table, first, target, leaving, row, True) == FULL:
                return np.int64(FULL)
    return np.int64(OK)


@lean
def _pass_mids(rules, net, sets, mids, lat, alphabet, table, p, first):  # type: ignore[no-untyped-def]
    """Closes the mids of p and adds what leaves them to the group from `first` on; OK or FULL."""
    unit = np.int64(lat.unit[p])
    n_bits = np.int64(1) << 40
    any_byte = np.int64(-1)
    inside = np.bool_(False)
    for mid in range(len(mids.node_of)):
        place = np.int64(lat.mid[unit, mid])
        if place < 0:
            continue
        for q in range(len(net.final)):
            if table.index[place, q] >= 0:
                wait(table, q)
        if table.size[N_WAITING] == 0:
            continue
        status = close(
            rules, net, sets, table, table.local, n_bits, place, alphabet, inside, any_byte, first
        )
        if status != FULL:
            status = _leave_mid(net, mids, lat, table, unit, np.int64(mid), place, first)
        if status == FULL:
            return status
    return np.int64(OK)


@lean
def _advance(rules, net, sets, mids, lat, tok, most, alphabet, table, p):  # type: ignore[no-untyped-def]
    """Adds the entries of main position p + 1 from those of p; OK or FULL."""
    has_mids = lat.kind[p] == MASK and lat.may_mid[lat.unit[p]]
    if has_mids and _enter_mids(rules, sets, mids, lat, table, p) == FULL:
        return np.int64(FULL)
    first = begin_entries(table)
    table.entry_begin[p + 1] = first
    for i in range(table.entry_begin[p], table.entry_end[p]):
        number = np.int64(table.entry[i, 1])
        if lat.kind[p] == BYTE:
            number = after_byte(rules, sets, number, np.int64(lat.byte[p]))
        else:
            number = after_token(rules, sets, number, tok, most)
        if number == FULL:
            return number
        if number >= 0:
            row = np.int64(table.entry[i, 2])
            if add_entry(table, first, np.int64(table.entry[i, 0]), number, row, True) == FULL:
                return np.int64(FULL)
    if has_mids:
        return _pass_mids(rules, net, sets, mids, lat, alphabet, table, p, first)
    return np.int64(OK)


@lean
def _begin(rules, net, sets, lat, alphabet, table):  # type: ignore[no-untyped-def]
    """Fills the first position; OK or FULL."""
    start = np.int64(net.start_of[0])
    row = new_row(table)
    if row == FULL:
        return row
    _forget(table, np.int64(0))
    bit_set(table.rows, row, np.int64(0))
    table.index[0, start] = row
    wait(table, start)
    table.entry_begin[0] = begin_entries(table)
    return _enter(
        rules, net, sets, lat, alphabet, table, np.int64(0), np.int64(table.entry_begin[0])
    )


@lean_entry
def fill_left(rules, net, sets, mids, lat, tok, most, alphabet, table, upto):  # type: ignore[no-untyped-def]
    """Fills the table up to the boundary `upto`; OK, or FULL with LEFT_DONE at what is done."""
    stop_waiting(table)
    table.size[N_SPARE] = table.rows.shape[1]
    use_words(table, lat.used[HIGH])
    for boundary in range(table.size[LEFT_DONE] + 1, upto + 1):
        if boundary == 0:
            if _begin(rules, net, sets, lat, alphabet, table) == FULL:
                return np.int64(FULL)
        else:
            for p in range(lat.main[boundary - 1], lat.main[boundary]):
                if _advance(rules, net, sets, mids, lat, tok, most, alphabet, table, p) == FULL:
                    return np.int64(FULL)
                _forget(table, np.int64(lat.id[p + 1]))
                first = np.int64(table.entry_begin[p + 1])
                if _enter(rules, net, sets, lat, alphabet, table, p + 1, first) == FULL:
                    return np.int64(FULL)
        table.mark[boundary, 0] = table.size[N_ROWS]
        table.mark[boundary, 1] = table.size[N_ENTRIES]
        table.size[LEFT_DONE] = boundary
    return np.int64(OK)
