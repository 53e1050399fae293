"""Parse sets: the closure of items between two terminals."""

from __future__ import annotations

import numpy as np
from numba import njit

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
)


@njit(inline="always")
def is_tail(rules, q):  # type: ignore[no-untyped-def]
    """Whether nothing follows `q` in its rule."""
    return (
        rules.state[q, FINAL] != 0
        and rules.state[q, BEGIN] == rules.state[q, END]
        and rules.state[q, BEGIN] >= 0
    )


@njit(cache=True, nogil=True)
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
    memo.kernel[begin : begin + count] = kernel[:count]
    memo.parse_set[new, BEGIN] = begin
    memo.parse_set[new, END] = begin + count
    memo.size[N_SETS] = new + 1
    memo.size[N_KERNEL] = begin + count
    memo.set_hash[slot] = new
    return new


@njit(cache=True, nogil=True)
def _add_item(items, count, seen, item):  # type: ignore[no-untyped-def]
    """New count after adding `item` unless `seen` (open addressing, FREE = -1) has it."""
    size = len(seen)
    slot = np.int64(mix(np.uint64(17), item) & np.uint64(size - 1))
    while seen[slot] != -1:
        if seen[slot] == item:
            return count
        slot = (slot + 1) & (size - 1)
    seen[slot] = item
    items[count] = item
    return count + 1


@njit(cache=True, nogil=True)
def _close(rules, memo, new, kernel, count):  # type: ignore[no-untyped-def]
    """Closes the kernel of parse set `new`; writes its groups and scans. Returns a status.

    Items are q << 32 | c, where c is a context, or -1 - k (as 32 unsigned bits) for the context
    of the k-th rule predicted in this very set, which is known only at the end.
    """
    items = np.empty(max(64, 4 * count), np.int64)
    seen = np.full(256, -1, np.int64)
    n_items = 0
    predicted = np.empty(16, np.int64)
    n_predicted = 0
    waits = np.empty((32, 2), np.int64)  # (k, item): `item` waits for the k-th predicted rule
    n_waits = 0
    links = np.empty((16, 2), np.int64)  # (k, j): whatever waits for j waits for k as well
    n_links = 0
    accepting = False
    while len(seen) < 4 * count:
        seen = np.full(2 * len(seen), -1, np.int64)
    for i in range(count):
        n_items = _add_item(items, n_items, seen, kernel[i])
    done = 0
    while done < n_items:
        if 2 * n_items + 64 > len(seen):
            seen = np.full(4 * len(seen), -1, np.int64)
            kept = n_items
            n_items = 0
            for i in range(kept):
                n_items = _add_item(items, n_items, seen, items[i])
        item = items[done]
        done += 1
        q = item >> 32
        context = np.int64(np.int32(np.uint32(item & 0xFFFFFFFF)))
        if q == ROOT:
            accepting = True
            continue
        if rules.state[q, BEGIN] < 0:
            memo.scratch[0] = q
            for k in range(n_predicted):
                memo.stamp[predicted[k]] = 0
            return np.int64(EXPAND)
        if rules.state[q, FINAL] and context >= 0:
            for i in range(memo.context[context, BEGIN], memo.context[context, END]):
                if n_items + 1 >= len(items):
                    items = grown(items)
                outer = np.int64(memo.waiting[i, ITEM_STATE]) << 32 | np.int64(
                    memo.waiting[i, ITEM_CONTEXT]
                )
                n_items = _add_item(items, n_items, seen, outer)
                if 2 * n_items + 64 > len(seen):
                    seen = np.full(4 * len(seen), -1, np.int64)
                    kept = n_items
                    n_items = 0
                    for j in range(kept):
                        n_items = _add_item(items, n_items, seen, items[j])
        for edge in range(rules.state[q, BEGIN], rules.state[q, END]):
            symbol = rules.edge[edge, SYMBOL]
            if symbol >= 0:
                continue
            if n_items + 2 >= len(items):
                items = grown(items)
            if 2 * n_items + 64 > len(seen):
                seen = np.full(4 * len(seen), -1, np.int64)
                kept = n_items
                n_items = 0
                for j in range(kept):
                    n_items = _add_item(items, n_items, seen, items[j])
            target = np.int64(rules.edge[edge, TARGET])
            onward = target << 32 | (item & 0xFFFFFFFF)
            if symbol == EPSILON:
                n_items = _add_item(items, n_items, seen, onward)
                continue
            rule = -1 - symbol
            if rules.rule[rule, NULLABLE]:
                n_items = _add_item(items, n_items, seen, onward)
            k = np.int64(memo.stamp[rule]) - 1
            if k < 0:
                k = n_predicted
                if n_predicted + 1 >= len(predicted):
                    predicted = grown(predicted)
                predicted[k] = rule
                n_predicted += 1
                memo.stamp[rule] = k + 1
                first = np.int64(rules.rule[rule, START]) << 32 | ((-1 - k) & 0xFFFFFFFF)
                n_items = _add_item(items, n_items, seen, first)
            if is_tail(rules, target):
                if context >= 0:
                    for i in range(memo.context[context, BEGIN], memo.context[context, END]):
                        if n_waits >= len(waits):
                            waits = grown_pairs(waits)
                        waits[n_waits, 0] = k
                        waits[n_waits, 1] = np.int64(memo.waiting[i, ITEM_STATE]) << 32 | np.int64(
                            memo.waiting[i, ITEM_CONTEXT]
                        )
                        n_waits += 1
                elif -1 - context != k:
                    if n_links >= len(links):
                        links = grown_pairs(links)
                    links[n_links, 0] = k
                    links[n_links, 1] = -1 - context
                    n_links += 1
            else:
                if n_waits >= len(waits):
                    waits = grown_pairs(waits)
                waits[n_waits, 0] = k
                waits[n_waits, 1] = onward
                n_waits += 1
    for k in range(n_predicted):
        memo.stamp[predicted[k]] = 0
    if n_links > 0:
        waits, n_waits = follow_links(waits, n_waits, links, n_links, n_predicted)
    contexts, status = make_contexts(rules, memo, waits, n_waits, n_predicted)
    if status < 0:
        return status
    return _write_groups(rules, memo, new, items, n_items, contexts, accepting)


@njit(cache=True, nogil=True)
def _write_groups(  # type: ignore[no-untyped-def]
    rules, memo, new, items, n_items, contexts, accepting
):
    """Scans of all items, grouped by terminal."""
    n_scans = 0
    for i in range(n_items):
        q = items[i] >> 32
        if q != ROOT:
            for edge in range(rules.state[q, BEGIN], rules.state[q, END]):
                n_scans += rules.edge[edge, SYMBOL] >= 0
    group = memo.size[N_GROUPS]
    begin = memo.size[N_SCANS]
    if group + n_scans >= len(memo.group) or begin + n_scans >= len(memo.scan):
        return np.int64(GROW)
    lexemes = np.empty(n_scans, np.int64)
    targets = np.empty(n_scans, np.int64)
    outers = np.empty(n_scans, np.int64)
    k = 0
    for i in range(n_items):
        q = items[i] >> 32
        if q == ROOT:
            continue
        outer = np.int64(np.int32(np.uint32(items[i] & 0xFFFFFFFF)))
        if outer < 0:
            outer = contexts[-1 - outer]
        for edge in range(rules.state[q, BEGIN], rules.state[q, END]):
            if rules.edge[edge, SYMBOL] >= 0:
                lexemes[k] = rules.edge[edge, SYMBOL]
                targets[k] = rules.edge[edge, TARGET]
                outers[k] = outer
                k += 1
    order = np.argsort(lexemes, kind="mergesort")
    memo.parse_set[new, ACCEPTING] = 1 if accepting else 0
    memo.parse_set[new, GROUP] = group
    last = np.int64(-1)
    for k in range(n_scans):
        i = order[k]
        if lexemes[i] != last:
            if last >= 0:
                memo.group[group, SCAN_END] = begin
                group += 1
            last = lexemes[i]
            memo.group[group, LEXEME] = last
            memo.group[group, SCAN] = begin
            memo.group[group, TAIL] = FAR
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
