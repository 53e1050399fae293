"""Whether one token may stand in a masked slot: the left table, its bytes, the right table."""

from __future__ import annotations

import numpy as np

from guided.kernels.canvas_arrays import (
    FULL,
    HIGH,
    N_ROWS,
    leading_bit,
    may_go_on,
    new_row,
    trailing_zeros,
)
from guided.kernels.canvas_blocks import unite
from guided.kernels.canvas_ends import END, LOW, begin_words
from guided.kernels.canvas_left import close
from guided.kernels.canvas_origins import (
    N_ENTRIES,
    N_SPARE,
    N_USED,
    add_entry,
    add_origins,
    begin_entries,
    begin_terminals,
    merge_origins,
    stop_waiting,
    use_words,
    wait,
)
from guided.kernels.canvas_right import add_onward
from guided.kernels.canvas_sets import after_byte
from guided.kernels.canvas_tails import tail_row
from guided.kernels.compiling import lean, lean_entry

#: The token has more bytes than there are spare bits.
TOO_LONG = -10
#: No answer yet.
UNDECIDED = -11
#: Pairs of sets that a search may come to beside those it begins with.
MOST_PAIRS = 1024


@lean
def _advance(rules, net, sets, alphabet, left, n_bits, data, begin, end):  # type: ignore[no-untyped-def]
    """(first entry, end of the entries) after the bytes, both FULL without room."""
    full = np.int64(FULL)
    inside = np.bool_(False)
    for v in range(len(data)):
        first = begin_entries(left)
        for i in range(begin, end):
            number = after_byte(rules, sets, np.int64(left.entry[i, 1]), np.int64(data[v]))
            if number == FULL:
                return full, full
            if number >= 0:
                q = np.int64(left.entry[i, 0])
                row = np.int64(left.entry[i, 2])
                if add_entry(left, first, q, number, row, True) == FULL:
                    return full, full
        begin = first
        end = left.size[N_ENTRIES]
        if begin == end or v == len(data) - 1:
            break
        for place in range(left.local.shape[1]):
            left.local[v, place] = -1
        byte = np.int64(data[v + 1])
        for i in range(begin, end):
            if sets.accepts[left.entry[i, 1]]:
                q = np.int64(left.entry[i, 0])
                if not may_go_on(net, q, byte):
                    continue
                if add_origins(left, left.local, v, q, np.int64(left.entry[i, 2])) == FULL:
                    return full, full
                wait(left, q)
        position = n_bits + v
        status = close(
            rules, net, sets, left, left.local, n_bits, position, alphabet, inside, byte, first
        )
        if status == FULL:
            return full, full
        if begin_terminals(net, sets, left, left.local, np.int64(v), byte, first) == FULL:
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
    for word in range(right.size[LOW], right.size[END]):
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
def _reach_origins(left, right, seen, stack, size, rule, origins, row, net):  # type: ignore[no-untyped-def]
    """The same for all origins of a row, the ones nearest to the beginning on top."""
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
        for word in range(right.size[LOW], right.size[END]):
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
            for word in range(right.size[LOW], right.size[END]):
                right.rows[onward, word] = 0
            target = np.int64(net.caller_target[k])
            if add_onward(right, now, target, onward, np.int64(-1)):
                to = np.int64(net.rule_of[caller])
                size = _reach_origins(left, right, seen, stack, size, to, origins, onward, net)
                if size == FULL:
                    return size
    return np.int64(0)


@lean
def _callers_origins(left, n_bits, origins, caller, into):  # type: ignore[no-untyped-def]
    """Adds to row `into` the origins of a calling state at all positions of row `origins`."""
    changed = False
    rows, index = left.rows, left.index
    zero, used = np.int64(0), left.size[N_USED]
    for word in range(rows.shape[1]):
        bits = rows[origins, word]
        if not bits:
            continue
        if word < used:
            changed |= unite(left.blocks, index, rows, caller, word, bits, into, zero, used)
            continue
        while bits:
            place = word * 64 + trailing_zeros(bits) - n_bits
            bits &= bits - np.uint64(1)
            row = np.int64(left.local[place, caller])
            if row >= 0:
                changed |= merge_origins(left, into, row)
    return changed


@lean
def _holds(rows, row, other, begin, end):  # type: ignore[no-untyped-def]
    """Whether row `other` has nothing that `row` has not, in words from `begin` to `end`."""
    fresh = np.uint64(0)
    for word in range(begin, end):
        fresh |= rows[other, word] & ~rows[row, word]
    return fresh == 0


@lean
def _add_pair(left, right, pairs, count, rule, origins, ends):  # type: ignore[no-untyped-def]
    """The number of pairs with one more, unless some other one holds it."""
    for i in range(count):
        if (
            pairs[i, 0] == rule
            and _holds(right.rows, pairs[i, 2], ends, right.size[LOW], right.size[END])
            and _holds(left.rows, pairs[i, 1], origins, np.int64(0), np.int64(left.rows.shape[1]))
        ):
            return count
    pairs[count, 0] = rule
    pairs[count, 1] = origins
    pairs[count, 2] = ends
    return count + 1


@lean
def _search_pairs(net, lat, left, right, n_bits, pairs, count):  # type: ignore[no-untyped-def]
    """As `_search`, for rules with sets of origins and ends, all of which go together.

    UNDECIDED where there are more of them than room.
    """
    done = np.int64(0)
    most = count + MOST_PAIRS
    while done < count:
        rule = pairs[done, 0]
        origins = pairs[done, 1]
        ends = pairs[done, 2]
        done += 1
        if rule == 0 and left.rows[origins, 0] & np.uint64(1):
            for word in range(right.size[LOW], right.size[END]):
                if right.rows[ends, word] & lat.accepting[word]:
                    return np.int64(1)
        for k in range(net.caller_begin[rule], net.caller_begin[rule + 1]):
            if count == most:
                return np.int64(UNDECIDED)
            outer = new_row(left)
            behind = new_row(right)
            if outer == FULL or behind == FULL:
                return np.int64(FULL)
            caller = np.int64(net.caller_state[k])
            target = np.int64(net.caller_target[k])
            before = count
            if _callers_origins(left, n_bits, origins, caller, outer) and add_onward(
                right, ends, target, behind, np.int64(-1)
            ):
                to = np.int64(net.rule_of[caller])
                count = _add_pair(left, right, pairs, count, to, outer, behind)
            if count == before:
                left.size[N_ROWS] = outer
                right.size[N_ROWS] = behind
    return np.int64(0)


@lean_entry
def check_bytes(  # type: ignore[no-untyped-def]
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
    pairs,
    seen,
    stack,
    p,
    onward,
    data,
):
    """1 if a token with the bytes `data` may stand behind main position p, else 0; FULL, TOO_LONG.

    `onward` is the main position behind it: p again where the token stands inside of a gap.

    Both tables are as before when it returns, but for what they know of the right side. `seen`
    int32[rules * bits] holds -1, `stack` is as long and two more; `pairs` is int64[..., 3].
    """
    n_bits = np.int64(64 * left.rows.shape[1] - len(left.local))
    if len(data) > len(left.local):
        return np.int64(TOO_LONG)
    left.size[N_SPARE] = n_bits >> 6
    use_words(left, lat.used[HIGH])
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
            pairs,
            seen,
            stack,
            onward,
            begin,
            end,
        )
    left.size[N_ROWS] = rows
    left.size[N_ENTRIES] = entries
    stop_waiting(left)
    return result


@lean
def _meet(  # type: ignore[no-untyped-def]
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
    pairs,
    seen,
    stack,
    onward,
    begin,
    end,
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
    first = np.int64(0)
    for i in range(begin, end):
        q = np.int64(left.entry[i, 0])
        number = np.int64(left.entry[i, 1])
        row = tail_row(rules, sets, mids, lat, tok, most, alphabet, right, onward, q, number)
        if row >= 0:
            if first + MOST_PAIRS > len(pairs):
                return np.int64(FULL)
            rule = np.int64(net.rule_of[q])
            first = _add_pair(left, right, pairs, first, rule, np.int64(left.entry[i, 2]), row)
    result = _search_pairs(net, lat, left, right, n_bits, pairs, first)
    right.size[N_ROWS] = kept
    if result == UNDECIDED:
        result = _meet_singly(net, lat, left, right, n_bits, pairs, first, seen, stack)
        right.size[N_ROWS] = kept
    return result


@lean
def _meet_singly(net, lat, left, right, n_bits, pairs, count, seen, stack):  # type: ignore[no-untyped-def]
    """The same for every origin by itself."""
    stack[len(stack) - 1] = 0
    size = np.int64(0)
    for i in range(count):
        if size != FULL:
            size = _reach_origins(
                left, right, seen, stack, size, pairs[i, 0], pairs[i, 1], pairs[i, 2], net
            )
    result = np.int64(FULL)
    if size != FULL:
        result = _search(net, lat, left, right, n_bits, seen, stack, size)
    touched = stack[len(stack) - 1]
    for i in range(touched):
        seen[stack[len(stack) - 2 - i]] = -1
    return result
