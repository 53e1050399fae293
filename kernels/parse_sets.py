"""Parse sets: the closure of items between two terminals."""

from __future__ import annotations

import numpy as np
from numba import njit

from guided.kernels.compiling import inner, lean
from guided.kernels.contexts import follow_links, make_contexts
from guided.kernels.memo_arrays import (
    ACCEPTING,
    BEGIN,
    DIST,
    END,
    EPSILON,
    EXPAND,
    FAR,
    FINAL,
    FOLLOW,
    GROUP,
    GROUP_END,
    GROW,
    ITEM_CONTEXT,
    ITEM_STATE,
    LEXEME,
    N_GROUPS,
    N_KERNEL,
    N_SCANS,
    N_SETS,
    NULLABLE,
    OK,
    ROOT,
    SCAN,
    SCAN_END,
    START,
    SYMBOL,
    TAIL,
    TARGET,
    WAIT,
    grown,
    grown_pairs,
    mix,
    sort_unique,
)


@njit(inline="always")
def is_tail(rules, q):  # type: ignore[no-untyped-def]
    """Whether nothing follows `q` in its rule."""
    return (
        rules.state[q, FINAL] != 0
        and rules.state[q, BEGIN] == rules.state[q, END]
        and rules.state[q, BEGIN] >= 0
    )


@lean
def intern_set(rules, memo, kernel, count):  # type: ignore[no-untyped-def]
    """Id of the parse set with the sorted kernel items (q << 32 | context), or a status < 0."""
    h = np.uint64(count)
    for i in range(count):
        h = mix(h, kernel[i])
    size = len(memo.set_hash)
    slot = np.int64(h & np.uint64(size - 1))
    while memo.set_hash[slot] != 0:
        e = memo.set_hash[slot]
        begin = memo.parse_set[e, BEGIN]
        if memo.parse_set[e, END] - begin == count:
            same = True
            for i in range(count):
                if memo.kernel[begin + i] != kernel[i]:
                    same = False
                    break
            if same:
                return np.int64(e)
        slot = (slot + 1) & (size - 1)
    new = memo.size[N_SETS]
    begin = memo.size[N_KERNEL]
    if new + 1 >= len(memo.parse_set) or begin + count >= len(memo.kernel) or 2 * new >= size:
        return np.int64(GROW)
    status = _close(rules, memo, new, kernel, count)
    if status < 0:
        return status
    for i in range(count):
        memo.kernel[begin + i] = kernel[i]
    memo.parse_set[new, BEGIN] = begin
    memo.parse_set[new, END] = begin + count
    memo.size[N_SETS] = new + 1
    memo.size[N_KERNEL] = begin + count
    memo.set_hash[slot] = new
    return new


@inner
def _add(items, seen, count, item):  # type: ignore[no-untyped-def]
    """(items, seen, count) with `item` added unless it is there already.

    `seen` is a hash table of the items by open addressing, -1 is a free slot.
    """
    last = len(seen) - 1
    slot = np.int64(mix(np.uint64(17), item) & np.uint64(last))
    while seen[slot] != -1:
        if seen[slot] == item:
            return items, seen, count
        slot = (slot + 1) & last
    seen[slot] = item
    if count >= len(items):
        items = grown(items)
    items[count] = item
    count += 1
    if 2 * count > len(seen):
        last = 4 * len(seen) - 1
        seen = np.full(last + 1, -1, np.int64)
        for i in range(count):
            slot = np.int64(mix(np.uint64(17), items[i]) & np.uint64(last))
            while seen[slot] != -1:
                slot = (slot + 1) & last
            seen[slot] = items[i]
    return items, seen, count


@inner
def _add_pair(pairs, count, left, right):  # type: ignore[no-untyped-def]
    """(pairs, count) with one more row."""
    if count >= len(pairs):
        pairs = grown_pairs(pairs)
    pairs[count, 0] = left
    pairs[count, 1] = right
    return pairs, count + 1


@njit(inline="always")
def _waiting_item(memo, i):  # type: ignore[no-untyped-def]
    state = np.int64(memo.waiting[i, ITEM_STATE])
    return state << 32 | np.int64(memo.waiting[i, ITEM_CONTEXT])


@inner
def _close(rules, memo, new, kernel, count):  # type: ignore[no-untyped-def]
    """Closes the kernel of parse set `new`; writes its groups and scans. Returns a status.

    Items are q << 32 | c, where c is a context, or -1 - k (as 32 unsigned bits) for the context
    of the k-th rule predicted in this very set, which is known only at the end.
    """
    items = np.empty(max(64, 2 * count), np.int64)
    seen = np.full(128, -1, np.int64)
    n_items = np.int64(0)
    predicted = np.empty(16, np.int64)
    n_predicted = np.int64(0)
    waits = np.empty((32, 2), np.int64)  # (k, item): `item` waits for the k-th predicted rule
    n_waits = np.int64(0)
    links = np.empty((16, 2), np.int64)  # (k, j): whatever waits for j waits for k as well
    n_links = np.int64(0)
    accepting = np.int64(0)
    unexpanded = np.int64(-1)
    for i in range(count):
        items, seen, n_items = _add(items, seen, n_items, kernel[i])
    done = 0
    while done < n_items and unexpanded < 0:
        item = items[done]
        done += 1
        q = item >> 32
        context = _context_of(item)
        if q == ROOT:
            accepting = np.int64(1)
            continue
        if rules.state[q, BEGIN] < 0:
            unexpanded = q
            continue
        # A rule that ends where it began is taken care of by NULLABLE.
        if rules.state[q, FINAL] and context >= 0:
            for i in range(memo.context[context, BEGIN], memo.context[context, END]):
                items, seen, n_items = _add(items, seen, n_items, _waiting_item(memo, i))
        for edge in range(rules.state[q, BEGIN], rules.state[q, END]):
            symbol = rules.edge[edge, SYMBOL]
            if symbol >= 0:
                continue
            target = np.int64(rules.edge[edge, TARGET])
            onward = target << 32 | (item & 0xFFFFFFFF)
            rule = -1 - symbol
            if symbol == EPSILON or rules.rule[rule, NULLABLE]:
                items, seen, n_items = _add(items, seen, n_items, onward)
            if symbol == EPSILON:
                continue
            k = np.int64(memo.stamp[rule]) - 1
            if k < 0:
                k = n_predicted
                if k >= len(predicted):
                    predicted = grown(predicted)
                predicted[k] = rule
                n_predicted += 1
                memo.stamp[rule] = k + 1
                first = np.int64(rules.rule[rule, START]) << 32 | ((-1 - k) & 0xFFFFFFFF)
                items, seen, n_items = _add(items, seen, n_items, first)
            if not is_tail(rules, target):
                waits, n_waits = _add_pair(waits, n_waits, k, onward)
            elif context >= 0:
                # Nothing follows in this rule: what waits for it waits for the new one.
                for i in range(memo.context[context, BEGIN], memo.context[context, END]):
                    waits, n_waits = _add_pair(waits, n_waits, k, _waiting_item(memo, i))
            elif -1 - context != k:
                links, n_links = _add_pair(links, n_links, k, -1 - context)
    for i in range(n_predicted):
        memo.stamp[predicted[i]] = 0
    if unexpanded >= 0:
        memo.scratch[0] = unexpanded
        return np.int64(EXPAND)
    if n_links > 0:
        waits, n_waits = follow_links(waits, n_waits, links, n_links, n_predicted)
    contexts, status = make_contexts(rules, memo, waits, n_waits, n_predicted)
    if status < 0:
        return status
    return _write_groups(rules, memo, new, items, n_items, contexts, accepting)


@njit(inline="always")
def _context_of(item):  # type: ignore[no-untyped-def]
    """The lower half of an item as a signed number."""
    return np.int64(np.int32(np.uint32(item & 0xFFFFFFFF)))


@inner
def _write_groups(  # type: ignore[no-untyped-def]
    rules, memo, new, items, n_items, contexts, accepting
):
    """Scans of all items, grouped by terminal."""
    n_scans = np.int64(0)
    for i in range(n_items):
        q = items[i] >> 32
        if q != ROOT:
            for edge in range(rules.state[q, BEGIN], rules.state[q, END]):
                n_scans += rules.edge[edge, SYMBOL] >= 0
    group = memo.size[N_GROUPS]
    begin = memo.size[N_SCANS]
    if group + n_scans >= len(memo.group) or begin + n_scans >= len(memo.scan):
        return np.int64(GROW)
    order = np.empty(n_scans, np.int64)
    targets = np.empty(n_scans, np.int64)
    outers = np.empty(n_scans, np.int64)
    k = 0
    for i in range(n_items):
        q = items[i] >> 32
        if q == ROOT:
            continue
        outer = _context_of(items[i])
        if outer < 0:
            outer = contexts[-1 - outer]
        for edge in range(rules.state[q, BEGIN], rules.state[q, END]):
            if rules.edge[edge, SYMBOL] >= 0:
                order[k] = np.int64(rules.edge[edge, SYMBOL]) << 32 | k
                targets[k] = rules.edge[edge, TARGET]
                outers[k] = outer
                k += 1
    sort_unique(order, n_scans)
    memo.parse_set[new, ACCEPTING] = accepting
    memo.parse_set[new, GROUP] = group
    last = np.int64(-1)
    for k in range(n_scans):
        i = order[k] & 0xFFFFFFFF
        if order[k] >> 32 != last:
            if last >= 0:
                memo.group[group, SCAN_END] = begin
                group += 1
            last = order[k] >> 32
            memo.group[group, LEXEME] = last
            memo.group[group, SCAN] = begin
            memo.group[group, TAIL] = FAR
            memo.group[group, FOLLOW] = 0
        memo.scan[begin, ITEM_STATE] = targets[i]
        memo.scan[begin, ITEM_CONTEXT] = outers[i]
        tail = np.int64(rules.state[targets[i], DIST]) + memo.context[outers[i], WAIT]
        memo.group[group, TAIL] = min(np.int64(memo.group[group, TAIL]), tail)
        begin += 1
    if last >= 0:
        memo.group[group, SCAN_END] = begin
        group += 1
    memo.parse_set[new, GROUP_END] = group
    memo.size[N_GROUPS] = group
    memo.size[N_SCANS] = begin
    return np.int64(OK)
