"""Whether one token may stand in a masked slot: the left table, its bytes, the right table."""

from __future__ import annotations

import numpy as np

from guided.kernels.canvas_arrays import FULL, N_ROWS, leading_bit, new_row
from guided.kernels.canvas_ends import begin_words, is_used
from guided.kernels.canvas_left import begin_terminals, close
from guided.kernels.canvas_origins import (
    N_ENTRIES,
    N_SPARE,
    N_WAITING,
    add_entry,
    add_origins,
    begin_entries,
    wait,
)
from guided.kernels.canvas_right import add_onward, tail_row
from guided.kernels.canvas_sets import after_byte
from guided.kernels.compiling import lean, lean_entry

#: The token has more bytes than there are spare bits.
TOO_LONG = -10


@lean
def _advance(rules, net, sets, alphabet, left, n_bits, data, begin, end):  # type: ignore[no-untyped-def]
    """(first entry, end of the entries) after the bytes, both FULL without room."""
    full = np.int64(FULL)
    for v in range(len(data)):
        first = begin_entries(left)
        for i in range(begin, end):
            number = after_byte(rules, sets, np.int64(left.entry[i, 1]), data[v])
            if number == FULL:
                return full, full
            if number >= 0:
                q = np.int64(left.entry[i, 0])
                if add_entry(left, first, q, number, np.int64(left.entry[i, 2])) == FULL:
                    return full, full
        begin = first
        end = left.size[N_ENTRIES]
        if begin == end or v == len(data) - 1:
            break
        for place in range(left.local.shape[1]):
            left.local[v, place] = -1
        for i in range(begin, end):
            if sets.accepts[left.entry[i, 1]]:
                q = np.int64(left.entry[i, 0])
                if add_origins(left, left.local, v, q, np.int64(left.entry[i, 2])) == FULL:
                    return full, full
                wait(left, q)
        position = n_bits + v
        status = close(rules, net, sets, left, left.local, n_bits, position, alphabet, False, first)
        if status == FULL:
            return full, full
        if begin_terminals(net, sets, left, left.local, np.int64(v), first) == FULL:
            return full, full
        end = left.size[N_ENTRIES]
    return np.int64(begin), np.int64(end)


@lean
def _reach(right, seen, stack, size, node, row):  # type: ignore[no-untyped-def]
    """The size of the stack once the ends of `row` are known at a node (rule, origin), or FULL."""
    known = np.int64(seen[node])
    if known < 0:
        known = new_row(right)
        if known == FULL or new_row(right) == FULL:
            return np.int64(FULL)
        seen[node] = known
        stack[len(stack) - 1] += 1
        stack[len(stack) - 1 - stack[len(stack) - 1]] = node
    fresh = False
    idle = True
    for word in range(right.rows.shape[1]):
        if not is_used(right, word):
            continue
        if right.rows[known + 1, word]:
            idle = False
        bits = right.rows[row, word] & ~right.rows[known, word]
        if bits:
            fresh = True
            right.rows[known, word] |= bits
            right.rows[known + 1, word] |= bits
    if fresh and idle:
        stack[size] = node
        size += 1
    return size


@lean
def _reach_origins(net, left, right, n_bits, seen, stack, size, q, origins, row):  # type: ignore[no-untyped-def]
    """The same for all origins of a row, the ones nearest to the beginning on top."""
    rule = np.int64(net.rule_of[q])
    places = len(seen) // len(net.start_of)
    for word in range(left.rows.shape[1] - 1, -1, -1):
        bits = left.rows[origins, word]
        while bits:
            highest = leading_bit(bits)
            bits ^= np.uint64(1) << np.uint64(highest)
            size = _reach(right, seen, stack, size, rule * places + word * 64 + highest, row)
            if size == FULL:
                return size
    return size


@lean
def _search(net, lat, left, right, n_bits, seen, stack, size):  # type: ignore[no-untyped-def]
    """1 where some node on the stack has a way to the end of the text, 0 where none has, FULL."""
    width = right.rows.shape[1]
    places = len(seen) // len(net.start_of)
    now = new_row(right)
    onward = new_row(right)
    if now == FULL or onward == FULL:
        return np.int64(FULL)
    while size > 0:
        size -= 1
        node = stack[size]
        rule = node // places
        origin = node - rule * places
        pending = np.int64(seen[node]) + 1
        for word in range(width):
            right.rows[now, word] = right.rows[pending, word]
            right.rows[pending, word] = 0
            if node == 0 and right.rows[now, word] & lat.accepting[word]:
                return np.int64(1)
        for k in range(net.caller_begin[rule], net.caller_begin[rule + 1]):
            caller = np.int64(net.caller_state[k])
            if origin < n_bits:
                origins = np.int64(left.index[origin, caller])
            else:
                origins = np.int64(left.local[origin - n_bits, caller])
            if origins < 0:
                continue
            for word in range(width):
                right.rows[onward, word] = 0
            target = np.int64(net.caller_target[k])
            if add_onward(right, lat, now, target, onward, np.int64(-1), False):
                size = _reach_origins(
                    net, left, right, n_bits, seen, stack, size, caller, origins, onward
                )
                if size == FULL:
                    return size
    return np.int64(0)


@lean_entry
def check_bytes(  # type: ignore[no-untyped-def]
    rules, net, sets, mids, lat, tok, most, alphabet, left, right, seen, stack, p, onward, data
):
    """1 if a token with the bytes `data` may stand behind main position p, else 0; FULL, TOO_LONG.

    `onward` is the main position behind it: p again where the token stands inside of a gap.

    Both tables are as before when it returns, but for what they know of the right side. `seen`
    int32[rules * bits] holds -1, `stack` is as long and two more.
    """
    n_bits = np.int64(64 * left.rows.shape[1] - len(left.local))
    if len(data) > len(left.local):
        return np.int64(TOO_LONG)
    left.size[N_SPARE] = n_bits >> 6
    rows = left.size[N_ROWS]
    entries = left.size[N_ENTRIES]
    begin, end = _advance(
        rules,
        net,
        sets,
        alphabet,
        left,
        n_bits,
        data,
        np.int64(left.entry_begin[p]),
        np.int64(left.entry_end[p]),
    )
    result = begin
    if begin != FULL:
        result = _meet(
            rules,
            net,
            sets,
            mids,
            lat,
            tok,
            most,
            alphabet,
            left,
            right,
            seen,
            stack,
            onward,
            begin,
            end,
        )
    left.size[N_ROWS] = rows
    left.size[N_ENTRIES] = entries
    for i in range(left.size[N_WAITING]):
        left.waits[left.queue[i]] = 0
    left.size[N_WAITING] = 0
    return result


@lean
def _meet(  # type: ignore[no-untyped-def]
    rules, net, sets, mids, lat, tok, most, alphabet, left, right, seen, stack, onward, begin, end
):
    """Whether some entry from `begin` to `end` can go on behind the slot to the end of the text."""
    n_bits = np.int64(64 * left.rows.shape[1] - len(left.local))
    begin_words(right, lat, onward)
    # The tails are kept in the table: the second time they are only looked up.
    for i in range(begin, end):
        q = np.int64(left.entry[i, 0])
        number = np.int64(left.entry[i, 1])
        row = tail_row(rules, sets, mids, lat, tok, most, alphabet, right, onward, q, number)
        if row == FULL:
            return row
    kept = right.size[N_ROWS]
    stack[len(stack) - 1] = 0
    size = np.int64(0)
    for i in range(begin, end):
        q = np.int64(left.entry[i, 0])
        number = np.int64(left.entry[i, 1])
        row = tail_row(rules, sets, mids, lat, tok, most, alphabet, right, onward, q, number)
        if row >= 0 and size != FULL:
            origins = np.int64(left.entry[i, 2])
            size = _reach_origins(net, left, right, n_bits, seen, stack, size, q, origins, row)
    result = np.int64(FULL)
    if size != FULL:
        result = _search(net, lat, left, right, n_bits, seen, stack, size)
    touched = stack[len(stack) - 1]
    for i in range(touched):
        seen[stack[len(stack) - 2 - i]] = -1
    right.size[N_ROWS] = kept
    return result
