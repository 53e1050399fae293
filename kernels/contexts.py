"""Contexts: what waits for a rule to end."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import inner, lean
from guided.kernels.memo_arrays import (
    BEGIN,
    DIST,
    END,
    FAR,
    GROW,
    ITEM_CONTEXT,
    ITEM_STATE,
    N_CONTEXTS,
    N_WAITING,
    OK,
    ROOT,
    WAIT,
    grown_pairs,
    mix,
    sort_unique,
)


@lean
def intern_context(rules, memo, items, count):  # type: ignore[no-untyped-def]
    """Id of the context with the sorted `items` (q << 32 | outer), GROW if there is no room."""
    h = np.uint64(count)
    for i in range(count):
        h = mix(h, items[i])
    size = len(memo.context_hash)
    slot = np.int64(h & np.uint64(size - 1))
    while memo.context_hash[slot] != 0:
        c = memo.context_hash[slot]
        begin = memo.context[c, BEGIN]
        if memo.context[c, END] - begin == count:
            same = True
            for i in range(count):
                q = np.int64(memo.waiting[begin + i, ITEM_STATE])
                if (q << 32 | np.int64(memo.waiting[begin + i, ITEM_CONTEXT])) != items[i]:
                    same = False
                    break
            if same:
                return np.int64(c)
        slot = (slot + 1) & (size - 1)
    new = new_context(memo, count)
    if new < 0:
        return new
    fill_context(rules, memo, new, items, count)
    memo.context_hash[slot] = new
    return new


@lean
def new_context(memo, count):  # type: ignore[no-untyped-def]
    new = memo.size[N_CONTEXTS]
    begin = memo.size[N_WAITING]
    if new + 1 >= len(memo.context) or begin + count >= len(memo.waiting):
        return np.int64(GROW)
    if 2 * new >= len(memo.context_hash):
        return np.int64(GROW)
    memo.context[new, BEGIN] = begin
    memo.context[new, END] = begin + count
    memo.context[new, WAIT] = FAR
    memo.size[N_CONTEXTS] = new + 1
    memo.size[N_WAITING] = begin + count
    return new


@lean
def fill_context(rules, memo, context, items, count):  # type: ignore[no-untyped-def]
    begin = memo.context[context, BEGIN]
    for i in range(count):
        memo.waiting[begin + i, ITEM_STATE] = np.int32(items[i] >> 32)
        memo.waiting[begin + i, ITEM_CONTEXT] = np.int32(items[i] & 0xFFFFFFFF)
    update_distance(rules, memo, context)


@lean
def update_distance(rules, memo, context):  # type: ignore[no-untyped-def]
    best = np.int64(FAR)
    for i in range(memo.context[context, BEGIN], memo.context[context, END]):
        q = memo.waiting[i, ITEM_STATE]
        if q == ROOT:
            best = np.int64(0)
        else:
            best = min(
                best,
                np.int64(rules.state[q, DIST]) + memo.context[memo.waiting[i, ITEM_CONTEXT], WAIT],
            )
    changed = best < memo.context[context, WAIT]
    if changed:
        memo.context[context, WAIT] = best
    return changed


@lean
def open_memo(rules, memo):  # type: ignore[no-untyped-def]
    """Makes context 1, which waits for the end of the text; a status."""
    memo.kernel_room[0] = np.int64(ROOT) << 32
    return intern_context(rules, memo, memo.kernel_room, np.int64(1))


@inner
def follow_links(waits, n_waits, links, n_links, n_predicted):  # type: ignore[no-untyped-def]
    """Adds to every rule the waits of the rules that it is linked to, transitively."""
    reach = np.zeros((n_predicted, n_predicted), np.uint8)
    for i in range(n_links):
        reach[links[i, 0], links[i, 1]] = 1
    for middle in range(n_predicted):
        for a in range(n_predicted):
            if reach[a, middle]:
                for b in range(n_predicted):
                    if reach[middle, b]:
                        reach[a, b] = 1
    own = n_waits
    for a in range(n_predicted):
        for i in range(own):
            if reach[a, waits[i, 0]] and waits[i, 0] != a:
                if n_waits >= len(waits):
                    waits = grown_pairs(waits)
                waits[n_waits, 0] = a
                waits[n_waits, 1] = waits[i, 1]
                n_waits += 1
    return waits, n_waits


@inner
def make_contexts(rules, memo, waits, n_waits, n_predicted):  # type: ignore[no-untyped-def]
    """(context id of each predicted rule, status): acyclic ones by content, the rest fresh."""
    contexts = np.full(n_predicted, -1, np.int64)
    if n_predicted == 0:
        return contexts, np.int64(OK)
    # Waits in the order of their rule (a counting sort).
    first = np.zeros(n_predicted + 1, np.int64)
    for i in range(n_waits):
        first[waits[i, 0] + 1] += 1
    for k in range(n_predicted):
        first[k + 1] += first[k]
    place = first.copy()
    ordered = np.empty(n_waits, np.int64)
    for i in range(n_waits):
        ordered[place[waits[i, 0]]] = waits[i, 1]
        place[waits[i, 0]] += 1
    buffer = np.empty(n_waits + 1, np.int64)
    left = n_predicted
    progress = True
    while left > 0 and progress:
        progress = False
        for k in range(n_predicted):
            if contexts[k] >= 0:
                continue
            count = _resolve(ordered, first[k], first[k + 1], contexts, buffer)
            if count < 0:
                continue
            context = intern_context(rules, memo, buffer, count)
            if context < 0:
                return contexts, context
            contexts[k] = context
            left -= 1
            progress = True
    if left > 0:
        status = _make_cyclic(rules, memo, ordered, first, contexts, buffer)
        return contexts, status
    return contexts, np.int64(OK)


@lean
def _resolve(ordered, begin, end, contexts, buffer):  # type: ignore[no-untyped-def]
    """Copies items with local contexts replaced; the count, -1 while one is unknown."""
    count = np.int64(0)
    for i in range(begin, end):
        item = ordered[i]
        outer = np.int64(np.int32(np.uint32(item & 0xFFFFFFFF)))
        if outer < 0:
            outer = contexts[-1 - outer]
            if outer < 0:
                return -1
        buffer[count] = (item >> 32) << 32 | outer
        count += 1
    return sort_unique(buffer, count)


@inner
def _make_cyclic(rules, memo, ordered, first, contexts, buffer):  # type: ignore[no-untyped-def]
    n = len(contexts)
    fresh = np.empty(n, np.int64)
    n_fresh = 0
    for k in range(n):
        if contexts[k] < 0:
            new = new_context(memo, first[k + 1] - first[k])
            if new < 0:
                return new
            fresh[n_fresh] = k
            n_fresh += 1
            contexts[k] = new
    for i in range(n_fresh):
        k = fresh[i]
        count = _resolve(ordered, first[k], first[k + 1], contexts, buffer)
        context = contexts[k]
        memo.context[context, END] = memo.context[context, BEGIN] + count
        fill_context(rules, memo, context, buffer, count)
    changed = True
    while changed:
        changed = False
        for i in range(n_fresh):
            if update_distance(rules, memo, contexts[fresh[i]]):
                changed = True
    return np.int64(OK)
