"""A persistent generalised parser over bytes, memoised in flat arrays.

Three kinds of values are interned to integers, each built from the ones before:

* a *context* is what waits for a rule to end: a set of (rule state, outer context). Left recursion
  makes contexts cyclic; tail calls are resolved when they are made, so that right recursion and
  loops come back to the same context.
* a *parse set* is the closure of items (rule state, context) at one place between two terminals
  (an Earley set whose origins are contexts instead of positions).
* a *configuration* is a set of threads (terminal of a parse set in progress, automaton state) after
  some byte, with a flag that tells whether the text so far is a word of the language.

Equal situations get equal integers wherever they occur, so the step (configuration, byte) ->
configuration is a lazily filled automaton, and masks can be kept per configuration.

All functions return a status; GROW and EXPAND mean: nothing was committed, make room (or expand the
rule state in `scratch[0]`) and call again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

OK = 0
GROW = -1
EXPAND = -2
OVERFLOW = -3

EPSILON = -(1 << 30)
#: Edge symbols: a terminal l is l, a call of rule A is -1 - A, EPSILON consumes nothing.
ROOT = -1
#: Automaton layout of a counted JSON string: the state inside of the quotes.
BODY = 1
QUOTE = 34
PLAIN = -2
FAR = 1 << 28

# Fields of Memo.size.
N_CONTEXTS, N_CONTEXT_ITEMS, N_SETS, N_KERNEL, N_GROUPS, N_SCANS, N_CONFIGS, N_THREADS = range(8)
N_STEPS, N_SIZES = 8, 9


class Rules(NamedTuple):
    """A grammar in flat arrays (see grammars.tables)."""

    q_begin: Any  # int32[Q] edges of rule state q: q_begin[q] to q_end[q]; -1: not yet expanded
    q_end: Any
    q_final: Any  # uint8[Q] the rule may end here
    q_dist: Any  # int32[Q] fewest bytes to the end of the rule
    edge_symbol: Any  # int32[E]
    edge_target: Any  # int32[E]
    rule_start: Any  # int32[A]
    rule_nullable: Any  # uint8[A]
    lex_dfa: Any  # int32[L]
    lex_least: Any  # int32[L] PLAIN where nothing is counted
    lex_most: Any  # int32[L] -1: no upper bound
    dfa_first: Any  # int32[D+1] first automaton state of dfa d in the st_ arrays
    dfa_offset: Any  # int64[D] start of its table in `trans`
    dfa_width: Any  # int32[D] number of byte classes
    dfa_class: Any  # uint8[D, 256]
    trans: Any  # int32 flat
    st_accept: Any  # uint8[S]
    st_dist: Any  # int32[S] fewest bytes to acceptance
    st_live: Any  # uint64[S, 4] bytes that lead on
    st_survive: Any  # int32[S, 3] characters of each charset that can follow whatever they are
    lex_far: Any  # int32[L] an upper bound of the distance from any state of the terminal


class Memo(NamedTuple):
    """Interned values and the step table of one grammar."""

    size: Any  # int64[N_SIZES]
    ctx_begin: Any  # int32[C+1...]
    ctx_end: Any
    ctx_dist: Any
    ctx_q: Any  # int32 items: rule state, ROOT for the end of the text
    ctx_outer: Any
    set_begin: Any  # kernel items of set e
    set_end: Any
    set_accepting: Any
    set_group: Any  # first group of set e
    set_group_end: Any
    kernel_item: Any  # int64 q << 32 | context
    grp_lex: Any
    grp_begin: Any  # scans of group g
    grp_end: Any
    grp_dist: Any
    scan_q: Any
    scan_ctx: Any
    cfg_begin: Any
    cfg_end: Any
    cfg_accepting: Any
    cfg_dist: Any
    cfg_live: Any  # uint64[C, 4]
    thread: Any  # int64 group << 32 | automaton state
    hash_ctx: Any  # int32 open addressing, 0: free
    hash_set: Any
    hash_cfg: Any
    step_key: Any  # int64 configuration << 8 | byte
    step_to: Any  # int32
    scratch: Any  # int64 working room
    stamp: Any  # int32[A + 1] local number of a predicted rule in the closure at hand


@njit(inline="always")
def _mix(h, value):  # type: ignore[no-untyped-def]
    h = (h ^ np.uint64(value)) * np.uint64(0x9E3779B97F4A7C15)
    return h ^ (h >> np.uint64(29))


@njit(cache=True, nogil=True)
def lexeme_step(rules, lex, state, byte):  # type: ignore[no-untyped-def]
    """State of terminal `lex` after `byte`, -1 if there is none."""
    dfa = rules.lex_dfa[lex]
    width = rules.dfa_width[dfa]
    column = rules.dfa_class[dfa, byte]
    least = rules.lex_least[lex]
    if least == PLAIN:
        return rules.trans[rules.dfa_offset[dfa] + state * width + column]
    states = rules.dfa_first[dfa + 1] - rules.dfa_first[dfa]
    count = state // states
    base = state - count * states
    target = rules.trans[rules.dfa_offset[dfa] + base * width + column]
    if target < 0:
        return -1
    if base == BODY:
        most = rules.lex_most[lex]
        if byte == QUOTE:
            if count < least:
                return -1
        elif most >= 0:
            if count >= most:
                return -1
            count += 1
        elif count < least:
            count += 1
    return count * states + target


@njit(cache=True, nogil=True)
def lexeme_distance(rules, lex, state):  # type: ignore[no-untyped-def]
    """Fewest bytes to the end of terminal `lex`."""
    dfa = rules.lex_dfa[lex]
    first = rules.dfa_first[dfa]
    if rules.lex_least[lex] == PLAIN:
        return rules.st_dist[first + state]
    states = rules.dfa_first[dfa + 1] - first
    count = state // states
    distance = rules.st_dist[first + state - count * states]
    if distance > 0:
        distance += max(0, rules.lex_least[lex] - count)
    return distance


@njit(cache=True, nogil=True)
def lexeme_accepts(rules, lex, state):  # type: ignore[no-untyped-def]
    """Whether terminal `lex` may end in `state`."""
    dfa = rules.lex_dfa[lex]
    first = rules.dfa_first[dfa]
    if rules.lex_least[lex] == PLAIN:
        return rules.st_accept[first + state] != 0
    states = rules.dfa_first[dfa + 1] - first
    return rules.st_accept[first + state % states] != 0


@njit(cache=True, nogil=True)
def lexeme_live(rules, lex, state, word):  # type: ignore[no-untyped-def]
    """64 bits of the bytes that lead on from `state`."""
    dfa = rules.lex_dfa[lex]
    first = rules.dfa_first[dfa]
    least = rules.lex_least[lex]
    if least == PLAIN:
        return rules.st_live[first + state, word]
    states = rules.dfa_first[dfa + 1] - first
    count = state // states
    base = state - count * states
    live = rules.st_live[first + base, word]
    if base == BODY:
        quote = np.uint64(1) << np.uint64(QUOTE) if word == 0 else np.uint64(0)
        most = rules.lex_most[lex]
        if most >= 0 and count >= most:
            live &= quote
        if count < least:
            live &= ~quote
    return live


@njit(cache=True, nogil=True)
def _intern_context(rules, memo, items, count):  # type: ignore[no-untyped-def]
    """Id of the context with the sorted `items` (q << 32 | outer), GROW if there is no room."""
    h = np.uint64(count)
    for i in range(count):
        h = _mix(h, items[i])
    size = len(memo.hash_ctx)
    slot = np.int64(h & np.uint64(size - 1))
    while memo.hash_ctx[slot] != 0:
        c = memo.hash_ctx[slot]
        begin = memo.ctx_begin[c]
        if memo.ctx_end[c] - begin == count:
            same = True
            for i in range(count):
                q = np.int64(memo.ctx_q[begin + i])
                if (q << 32 | np.int64(memo.ctx_outer[begin + i])) != items[i]:
                    same = False
                    break
            if same:
                return np.int64(c)
        slot = (slot + 1) & (size - 1)
    new = _new_context(memo, count)
    if new < 0:
        return new
    _fill_context(rules, memo, new, items, count)
    memo.hash_ctx[slot] = new
    return new


@njit(cache=True, nogil=True)
def _new_context(memo, count):  # type: ignore[no-untyped-def]
    new = memo.size[N_CONTEXTS]
    begin = memo.size[N_CONTEXT_ITEMS]
    if new + 1 >= len(memo.ctx_begin) or begin + count >= len(memo.ctx_q):
        return np.int64(GROW)
    if 2 * new >= len(memo.hash_ctx):
        return np.int64(GROW)
    memo.ctx_begin[new] = begin
    memo.ctx_end[new] = begin + count
    memo.ctx_dist[new] = FAR
    memo.size[N_CONTEXTS] = new + 1
    memo.size[N_CONTEXT_ITEMS] = begin + count
    return new


@njit(cache=True, nogil=True)
def _fill_context(rules, memo, context, items, count):  # type: ignore[no-untyped-def]
    begin = memo.ctx_begin[context]
    for i in range(count):
        memo.ctx_q[begin + i] = np.int32(items[i] >> 32)
        memo.ctx_outer[begin + i] = np.int32(items[i] & 0xFFFFFFFF)
    _update_context_distance(rules, memo, context)


@njit(cache=True, nogil=True)
def _update_context_distance(rules, memo, context):  # type: ignore[no-untyped-def]
    best = np.int64(FAR)
    for i in range(memo.ctx_begin[context], memo.ctx_end[context]):
        q = memo.ctx_q[i]
        if q == ROOT:
            best = 0
        else:
            best = min(best, np.int64(rules.q_dist[q]) + memo.ctx_dist[memo.ctx_outer[i]])
    changed = best < memo.ctx_dist[context]
    if changed:
        memo.ctx_dist[context] = best
    return changed


@njit(cache=True, nogil=True)
def sort_unique(items, count):  # type: ignore[no-untyped-def]
    """Sorts items[:count] in place (they come nearly sorted) and drops doubles."""
    if count > 64:
        items[:count].sort()
    else:
        for i in range(1, count):
            value = items[i]
            j = i - 1
            while j >= 0 and items[j] > value:
                items[j + 1] = items[j]
                j -= 1
            items[j + 1] = value
    kept = min(count, 1)
    for i in range(1, count):
        if items[i] != items[kept - 1]:
            items[kept] = items[i]
            kept += 1
    return kept


@njit(inline="always")
def _is_tail(rules, q):  # type: ignore[no-untyped-def]
    return rules.q_final[q] != 0 and rules.q_begin[q] == rules.q_end[q] and rules.q_begin[q] >= 0


@njit(cache=True, nogil=True)
def intern_set(rules, memo, kernel, count):  # type: ignore[no-untyped-def]
    """Id of the parse set with the sorted kernel items (q << 32 | context), or a status < 0."""
    h = np.uint64(count)
    for i in range(count):
        h = _mix(h, kernel[i])
    size = len(memo.hash_set)
    slot = np.int64(h & np.uint64(size - 1))
    while memo.hash_set[slot] != 0:
        e = memo.hash_set[slot]
        begin = memo.set_begin[e]
        if memo.set_end[e] - begin == count:
            same = True
            for i in range(count):
                if memo.kernel_item[begin + i] != kernel[i]:
                    same = False
                    break
            if same:
                return np.int64(e)
        slot = (slot + 1) & (size - 1)
    new = memo.size[N_SETS]
    begin = memo.size[N_KERNEL]
    if (
        new + 1 >= len(memo.set_begin)
        or begin + count >= len(memo.kernel_item)
        or 2 * new >= size
    ):
        return np.int64(GROW)
    status = _close(rules, memo, new, kernel, count)
    if status < 0:
        return status
    memo.kernel_item[begin : begin + count] = kernel[:count]
    memo.set_begin[new] = begin
    memo.set_end[new] = begin + count
    memo.size[N_SETS] = new + 1
    memo.size[N_KERNEL] = begin + count
    memo.hash_set[slot] = new
    return new


@njit(cache=True, nogil=True)
def _add_item(items, count, seen, item):  # type: ignore[no-untyped-def]
    """New count after adding `item` unless `seen` (open addressing, FREE = -1) has it."""
    size = len(seen)
    slot = np.int64(_mix(np.uint64(17), item) & np.uint64(size - 1))
    while seen[slot] != -1:
        if seen[slot] == item:
            return count
        slot = (slot + 1) & (size - 1)
    seen[slot] = item
    items[count] = item
    return count + 1


@njit(cache=True, nogil=True)
def _grown(array):  # type: ignore[no-untyped-def]
    wider = np.empty(2 * len(array), array.dtype)
    wider[: len(array)] = array
    return wider


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
        if rules.q_begin[q] < 0:
            memo.scratch[0] = q
            for k in range(n_predicted):
                memo.stamp[predicted[k]] = 0
            return np.int64(EXPAND)
        if rules.q_final[q] and context >= 0:
            for i in range(memo.ctx_begin[context], memo.ctx_end[context]):
                if n_items + 1 >= len(items):
                    items = _grown(items)
                outer = np.int64(memo.ctx_q[i]) << 32 | np.int64(memo.ctx_outer[i])
                n_items = _add_item(items, n_items, seen, outer)
                if 2 * n_items + 64 > len(seen):
                    seen = np.full(4 * len(seen), -1, np.int64)
                    kept = n_items
                    n_items = 0
                    for j in range(kept):
                        n_items = _add_item(items, n_items, seen, items[j])
        for edge in range(rules.q_begin[q], rules.q_end[q]):
            symbol = rules.edge_symbol[edge]
            if symbol >= 0:
                continue
            if n_items + 2 >= len(items):
                items = _grown(items)
            if 2 * n_items + 64 > len(seen):
                seen = np.full(4 * len(seen), -1, np.int64)
                kept = n_items
                n_items = 0
                for j in range(kept):
                    n_items = _add_item(items, n_items, seen, items[j])
            target = np.int64(rules.edge_target[edge])
            onward = target << 32 | (item & 0xFFFFFFFF)
            if symbol == EPSILON:
                n_items = _add_item(items, n_items, seen, onward)
                continue
            rule = -1 - symbol
            if rules.rule_nullable[rule]:
                n_items = _add_item(items, n_items, seen, onward)
            k = np.int64(memo.stamp[rule]) - 1
            if k < 0:
                k = n_predicted
                if n_predicted + 1 >= len(predicted):
                    predicted = _grown(predicted)
                predicted[k] = rule
                n_predicted += 1
                memo.stamp[rule] = k + 1
                first = np.int64(rules.rule_start[rule]) << 32 | ((-1 - k) & 0xFFFFFFFF)
                n_items = _add_item(items, n_items, seen, first)
            if _is_tail(rules, target):
                if context >= 0:
                    for i in range(memo.ctx_begin[context], memo.ctx_end[context]):
                        if n_waits >= len(waits):
                            waits = _grown_pairs(waits)
                        waits[n_waits, 0] = k
                        waits[n_waits, 1] = np.int64(memo.ctx_q[i]) << 32 | np.int64(
                            memo.ctx_outer[i]
                        )
                        n_waits += 1
                elif -1 - context != k:
                    if n_links >= len(links):
                        links = _grown_pairs(links)
                    links[n_links, 0] = k
                    links[n_links, 1] = -1 - context
                    n_links += 1
            else:
                if n_waits >= len(waits):
                    waits = _grown_pairs(waits)
                waits[n_waits, 0] = k
                waits[n_waits, 1] = onward
                n_waits += 1
    for k in range(n_predicted):
        memo.stamp[predicted[k]] = 0
    if n_links > 0:
        waits, n_waits = _follow_links(waits, n_waits, links, n_links, n_predicted)
    contexts, status = _make_contexts(rules, memo, waits, n_waits, n_predicted)
    if status < 0:
        return status
    return _write_groups(rules, memo, new, items, n_items, contexts, accepting)


@njit(cache=True, nogil=True)
def _grown_pairs(array):  # type: ignore[no-untyped-def]
    wider = np.empty((2 * len(array), 2), array.dtype)
    wider[: len(array)] = array
    return wider


@njit(cache=True, nogil=True)
def _follow_links(waits, n_waits, links, n_links, n_predicted):  # type: ignore[no-untyped-def]
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
                    waits = _grown_pairs(waits)
                waits[n_waits, 0] = a
                waits[n_waits, 1] = waits[i, 1]
                n_waits += 1
    return waits, n_waits


@njit(cache=True, nogil=True)
def _make_contexts(rules, memo, waits, n_waits, n_predicted):  # type: ignore[no-untyped-def]
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
            context = _intern_context(rules, memo, buffer, count)
            if context < 0:
                return contexts, context
            contexts[k] = context
            left -= 1
            progress = True
    if left > 0:
        status = _make_cyclic(rules, memo, ordered, first, contexts, buffer)
        return contexts, status
    return contexts, np.int64(OK)


@njit(cache=True, nogil=True)
def _resolve(ordered, begin, end, contexts, buffer):  # type: ignore[no-untyped-def]
    """Copies items with local contexts replaced; the count, -1 while one is unknown."""
    count = 0
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


@njit(cache=True, nogil=True)
def _make_cyclic(rules, memo, ordered, first, contexts, buffer):  # type: ignore[no-untyped-def]
    n = len(contexts)
    fresh = np.empty(n, np.int64)
    n_fresh = 0
    for k in range(n):
        if contexts[k] < 0:
            new = _new_context(memo, first[k + 1] - first[k])
            if new < 0:
                return new
            fresh[n_fresh] = k
            n_fresh += 1
            contexts[k] = new
    for i in range(n_fresh):
        k = fresh[i]
        count = _resolve(ordered, first[k], first[k + 1], contexts, buffer)
        context = contexts[k]
        memo.ctx_end[context] = memo.ctx_begin[context] + count
        _fill_context(rules, memo, context, buffer, count)
    changed = True
    while changed:
        changed = False
        for i in range(n_fresh):
            if _update_context_distance(rules, memo, contexts[fresh[i]]):
                changed = True
    return np.int64(OK)


@njit(cache=True, nogil=True)
def _write_groups(  # type: ignore[no-untyped-def]
    rules, memo, new, items, n_items, contexts, accepting
):
    """Scans of all items, grouped by terminal."""
    n_scans = 0
    for i in range(n_items):
        q = items[i] >> 32
        if q != ROOT:
            for edge in range(rules.q_begin[q], rules.q_end[q]):
                n_scans += rules.edge_symbol[edge] >= 0
    group = memo.size[N_GROUPS]
    begin = memo.size[N_SCANS]
    if group + n_scans >= len(memo.grp_lex) or begin + n_scans >= len(memo.scan_q):
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
        for edge in range(rules.q_begin[q], rules.q_end[q]):
            if rules.edge_symbol[edge] >= 0:
                lexemes[k] = rules.edge_symbol[edge]
                targets[k] = rules.edge_target[edge]
                outers[k] = outer
                k += 1
    order = np.argsort(lexemes, kind="mergesort")
    memo.set_accepting[new] = 1 if accepting else 0
    memo.set_group[new] = group
    last = np.int64(-1)
    for k in range(n_scans):
        i = order[k]
        if lexemes[i] != last:
            if last >= 0:
                memo.grp_end[group] = begin
                group += 1
            last = lexemes[i]
            memo.grp_lex[group] = last
            memo.grp_begin[group] = begin
            memo.grp_dist[group] = FAR
        memo.scan_q[begin] = targets[i]
        memo.scan_ctx[begin] = outers[i]
        tail = np.int64(rules.q_dist[targets[i]]) + memo.ctx_dist[outers[i]]
        memo.grp_dist[group] = min(np.int64(memo.grp_dist[group]), tail)
        begin += 1
    if last >= 0:
        memo.grp_end[group] = begin
        group += 1
    memo.set_group_end[new] = group
    memo.size[N_GROUPS] = group
    memo.size[N_SCANS] = begin
    return np.int64(OK)


@njit(cache=True, nogil=True)
def intern_config(rules, memo, threads, count, accepting):  # type: ignore[no-untyped-def]
    """Id of the configuration with the sorted threads; 0 for the dead one, or a status < 0."""
    if count == 0 and not accepting:
        return np.int64(0)
    h = np.uint64(count * 2 + accepting)
    for i in range(count):
        h = _mix(h, threads[i])
    size = len(memo.hash_cfg)
    slot = np.int64(h & np.uint64(size - 1))
    while memo.hash_cfg[slot] != 0:
        c = memo.hash_cfg[slot]
        begin = memo.cfg_begin[c]
        if memo.cfg_end[c] - begin == count and memo.cfg_accepting[c] == accepting:
            same = True
            for i in range(count):
                if memo.thread[begin + i] != threads[i]:
                    same = False
                    break
            if same:
                return np.int64(c)
        slot = (slot + 1) & (size - 1)
    new = memo.size[N_CONFIGS]
    begin = memo.size[N_THREADS]
    if (
        new + 1 >= len(memo.cfg_begin)
        or begin + count >= len(memo.thread)
        or 2 * new >= size
    ):
        return np.int64(GROW)
    distance = np.int64(0 if accepting else FAR)
    for word in range(4):
        memo.cfg_live[new, word] = 0
    for i in range(count):
        thread = threads[i]
        memo.thread[begin + i] = thread
        group = thread >> 32
        state = thread & 0xFFFFFFFF
        lex = memo.grp_lex[group]
        distance = min(distance, memo.grp_dist[group] + lexeme_distance(rules, lex, state))
        for word in range(4):
            memo.cfg_live[new, word] |= lexeme_live(rules, lex, state, word)
    memo.cfg_begin[new] = begin
    memo.cfg_end[new] = begin + count
    memo.cfg_accepting[new] = accepting
    memo.cfg_dist[new] = distance
    memo.size[N_CONFIGS] = new + 1
    memo.size[N_THREADS] = begin + count
    memo.hash_cfg[slot] = new
    return new


@njit(cache=True, nogil=True)
def _compute_step(rules, memo, config, byte):  # type: ignore[no-untyped-def]
    """Configuration after `byte`, computed from the threads; or a status < 0."""
    begin = memo.cfg_begin[config]
    end = memo.cfg_end[config]
    threads = np.empty(end - begin + 16, np.int64)
    n_threads = 0
    kernel = np.empty(16, np.int64)
    n_kernel = 0
    for i in range(begin, end):
        thread = memo.thread[i]
        group = thread >> 32
        lex = memo.grp_lex[group]
        state = lexeme_step(rules, lex, thread & 0xFFFFFFFF, byte)
        if state < 0:
            continue
        live = np.uint64(0)
        for word in range(4):
            live |= lexeme_live(rules, lex, state, word)
        if live != 0:
            threads[n_threads] = group << 32 | np.int64(state)
            n_threads += 1
        if lexeme_accepts(rules, lex, state):
            for scan in range(memo.grp_begin[group], memo.grp_end[group]):
                q = np.int64(memo.scan_q[scan])
                context = np.int64(memo.scan_ctx[scan])
                first = np.int64(-1)
                last = np.int64(0)
                if _is_tail(rules, q):
                    first = memo.ctx_begin[context]
                    last = memo.ctx_end[context]
                while n_kernel + (last - first) + 1 > len(kernel):
                    kernel = _grown(kernel)
                if first < 0:
                    kernel[n_kernel] = q << 32 | context
                    n_kernel += 1
                else:
                    for k in range(first, last):
                        kernel[n_kernel] = np.int64(memo.ctx_q[k]) << 32 | np.int64(
                            memo.ctx_outer[k]
                        )
                        n_kernel += 1
    accepting = 0
    if n_kernel > 0:
        n_kernel = sort_unique(kernel, n_kernel)
        fresh = intern_set(rules, memo, kernel, n_kernel)
        if fresh < 0:
            return fresh
        accepting = np.int64(memo.set_accepting[fresh])
        for group in range(memo.set_group[fresh], memo.set_group_end[fresh]):
            if n_threads >= len(threads):
                threads = _grown(threads)
            threads[n_threads] = np.int64(group) << 32
            n_threads += 1
        n_threads = sort_unique(threads, n_threads)
    return intern_config(rules, memo, threads, n_threads, accepting)


@njit(cache=True, nogil=True)
def step(rules, memo, config, byte):  # type: ignore[no-untyped-def]
    """Configuration after `byte` (0: dead), or a status < 0."""
    if (memo.cfg_live[config, byte >> 6] >> np.uint64(byte & 63)) & np.uint64(1) == 0:
        return np.int64(0)
    key = np.int64(config) << 8 | np.int64(byte)
    size = len(memo.step_key)
    slot = np.int64(_mix(np.uint64(7), key) & np.uint64(size - 1))
    while memo.step_key[slot] != -1:
        if memo.step_key[slot] == key:
            return np.int64(memo.step_to[slot])
        slot = (slot + 1) & (size - 1)
    if 2 * memo.size[N_STEPS] >= size:
        return np.int64(GROW)
    target = _compute_step(rules, memo, config, byte)
    if target >= 0:
        memo.step_key[slot] = key
        memo.step_to[slot] = target
        memo.size[N_STEPS] += 1
    return target


@njit(cache=True, nogil=True)
def open_memo(rules, memo):  # type: ignore[no-untyped-def]
    """Makes context 1, which waits for the end of the text."""
    items = np.empty(1, np.int64)
    items[0] = np.int64(ROOT) << 32
    return _intern_context(rules, memo, items, 1)


@njit(cache=True, nogil=True)
def start_config(rules, memo, rule):  # type: ignore[no-untyped-def]
    """Configuration before the first byte of `rule`, or a status < 0."""
    kernel = np.empty(1, np.int64)
    # Context 1 is the end of the text.
    kernel[0] = np.int64(rules.rule_start[rule]) << 32 | np.int64(1)
    fresh = intern_set(rules, memo, kernel, 1)
    if fresh < 0:
        return fresh
    first = memo.set_group[fresh]
    count = memo.set_group_end[fresh] - first
    threads = np.empty(count, np.int64)
    for i in range(count):
        threads[i] = np.int64(first + i) << 32
    return intern_config(rules, memo, threads, count, np.int64(memo.set_accepting[fresh]))


@njit(cache=True, nogil=True)
def walk_bytes(rules, memo, config, data):  # type: ignore[no-untyped-def]
    """(configuration or status, number of bytes taken) after as much of `data` as is legal."""
    for i in range(len(data)):
        target = step(rules, memo, config, data[i])
        if target <= 0:
            return target, i
        config = target
    return np.int64(config), len(data)


@njit(cache=True, nogil=True)
def rehash_contexts(memo, table):  # type: ignore[no-untyped-def]
    """Fills a larger hash table of the acyclic contexts (those that the old table holds)."""
    for i in range(len(memo.hash_ctx)):
        c = memo.hash_ctx[i]
        if c == 0:
            continue
        begin = memo.ctx_begin[c]
        count = memo.ctx_end[c] - begin
        h = np.uint64(count)
        for k in range(count):
            h = _mix(h, np.int64(memo.ctx_q[begin + k]) << 32 | np.int64(memo.ctx_outer[begin + k]))
        _place(table, h, c)


@njit(cache=True, nogil=True)
def rehash_sets(memo, table):  # type: ignore[no-untyped-def]
    """Fills a larger hash table of the parse sets."""
    for e in range(1, memo.size[N_SETS]):
        h = np.uint64(memo.set_end[e] - memo.set_begin[e])
        for k in range(memo.set_begin[e], memo.set_end[e]):
            h = _mix(h, memo.kernel_item[k])
        _place(table, h, e)


@njit(cache=True, nogil=True)
def rehash_configs(memo, table):  # type: ignore[no-untyped-def]
    """Fills a larger hash table of the configurations."""
    for c in range(1, memo.size[N_CONFIGS]):
        begin = memo.cfg_begin[c]
        end = memo.cfg_end[c]
        h = np.uint64((end - begin) * 2 + memo.cfg_accepting[c])
        for k in range(begin, end):
            h = _mix(h, memo.thread[k])
        _place(table, h, c)


@njit(cache=True, nogil=True)
def rehash_steps(memo, keys, targets):  # type: ignore[no-untyped-def]
    """Fills a larger step table."""
    size = len(keys)
    for i in range(len(memo.step_key)):
        key = memo.step_key[i]
        if key != -1:
            slot = np.int64(_mix(np.uint64(7), key) & np.uint64(size - 1))
            while keys[slot] != -1:
                slot = (slot + 1) & (size - 1)
            keys[slot] = key
            targets[slot] = memo.step_to[i]


@njit(cache=True, nogil=True)
def _place(table, h, value):  # type: ignore[no-untyped-def]
    size = len(table)
    slot = np.int64(h & np.uint64(size - 1))
    while table[slot] != 0:
        slot = (slot + 1) & (size - 1)
    table[slot] = value
