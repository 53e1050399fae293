"""Sets of states of a terminal: where a byte, a token or any text leads them."""

from __future__ import annotations

import numpy as np

from guided.kernels.canvas_arrays import (
    DEAD,
    FULL,
    N_FOLLOWERS,
    N_MEMBERS,
    N_SETS,
    N_SIDES,
    UNKNOWN,
)
from guided.kernels.compiling import entry, folded, inner, lean, shared_entry
from guided.kernels.lexemes import lexeme_fact, lexeme_step
from guided.kernels.memo_arrays import ACCEPT, mix, sort_unique
from guided.kernels.trie import BYTE, DEPTH, SKIP, TOKEN

#: Tokens up to so many bytes are all tried from every state, of longer ones some.
SHORT = 3


@inner
def intern_set(rules, sets, lex, items, count):  # type: ignore[no-untyped-def]
    """Number of the set of `items[:count]` (sorted in place), DEAD if empty, FULL without room."""
    count = sort_unique(items, count)
    if count == 0:
        return np.int64(DEAD)
    h = np.uint64(lex)
    for i in range(count):
        h = mix(h, items[i])
    last = len(sets.table) - 1
    slot = np.int64(h & np.uint64(last))
    while sets.table[slot] >= 0:
        found = sets.table[slot]
        begin = sets.begin[found]
        if sets.lexeme[found] == lex and sets.begin[found + 1] - begin == count:
            same = True
            for i in range(count):
                if sets.member[begin + i] != items[i]:
                    same = False
                    break
            if same:
                return np.int64(found)
        slot = (slot + 1) & last
    new = sets.size[N_SETS]
    begin = sets.size[N_MEMBERS]
    if new + 1 >= len(sets.lexeme) or begin + count > len(sets.member) or 2 * new > last:
        return np.int64(FULL)
    accepts = 0
    for i in range(count):
        sets.member[begin + i] = items[i]
        if rules.fact[lexeme_fact(rules, lex, items[i]), ACCEPT]:
            accepts = 1
    sets.lexeme[new] = lex
    sets.begin[new] = begin
    sets.begin[new + 1] = begin + count
    sets.accepts[new] = accepts
    for byte in range(256):
        sets.step[new, byte] = UNKNOWN
    sets.after_token[new] = UNKNOWN
    sets.after_text[new] = UNKNOWN
    sets.side[new, 0] = -1
    sets.size[N_SETS] = new + 1
    sets.size[N_MEMBERS] = begin + count
    sets.table[slot] = new
    return new


@inner
def _find_after_byte(rules, sets, number, byte):  # type: ignore[no-untyped-def]
    lex = np.int64(sets.lexeme[number])
    begin = sets.begin[number]
    items = np.empty(sets.begin[number + 1] - begin, np.int64)
    count = np.int64(0)
    for i in range(len(items)):
        target = lexeme_step(rules, lex, sets.member[begin + i], byte)
        if target >= 0:
            items[count] = target
            count += 1
    target = intern_set(rules, sets, lex, items, count)
    if target != FULL:
        sets.step[number, byte] = target
    return target


@folded
def after_byte(rules, sets, number, byte):  # type: ignore[no-untyped-def]
    """The set after `byte`, DEAD or FULL."""
    known = np.int64(sets.step[number, byte])
    if known != UNKNOWN:
        return known
    return _find_after_byte(rules, sets, number, byte)


@inner
def _find_followers(rules, sets, lex, state, node, most):  # type: ignore[no-untyped-def]
    """Writes down the states after one token from `state`; False without room."""
    found = np.empty(64, np.int64)
    count = np.int64(0)
    path = np.empty(4096, np.int64)
    path[0] = state
    visits = np.int64(0)
    for turn in range(2):
        at = np.int64(0)
        last = np.int64(-1)
        while at < len(node):
            depth = node[at, DEPTH]
            before = path[depth - 1]
            target = np.int64(lexeme_step(rules, lex, before, node[at, BYTE]))
            path[depth] = target
            if target >= 0 and node[at, TOKEN] >= 0 and target != last:
                last = target
                if count == len(found):
                    count = sort_unique(found, count)
                    if 2 * count > len(found):
                        wider = np.empty(2 * len(found), np.int64)
                        for i in range(count):
                            wider[i] = found[i]
                        found = wider
                found[count] = target
                count += 1
            if target < 0 or (turn == 0 and depth >= SHORT):
                at = np.int64(node[at, SKIP])
            else:
                at += 1
            if turn == 1:
                visits += 1
                if visits > most:
                    sets.truncated[0] = 1
                    break
    count = sort_unique(found, count)
    begin = sets.size[N_FOLLOWERS]
    if begin + count > len(sets.follower):
        return False
    for i in range(count):
        sets.follower[begin + i] = found[i]
    sets.followers[sets.base[lex] + state, 0] = begin
    sets.followers[sets.base[lex] + state, 1] = begin + count
    sets.size[N_FOLLOWERS] = begin + count
    return True


@inner
def _find_after_token(rules, sets, number, node, most):  # type: ignore[no-untyped-def]
    lex = np.int64(sets.lexeme[number])
    total = np.int64(0)
    for i in range(sets.begin[number], sets.begin[number + 1]):
        state = sets.member[i]
        place = sets.base[lex] + state
        if sets.followers[place, 0] < 0 and not _find_followers(
            rules, sets, lex, state, node, most
        ):
            return np.int64(FULL)
        total += sets.followers[place, 1] - sets.followers[place, 0]
    items = np.empty(total, np.int64)
    count = np.int64(0)
    for i in range(sets.begin[number], sets.begin[number + 1]):
        place = sets.base[lex] + sets.member[i]
        for k in range(sets.followers[place, 0], sets.followers[place, 1]):
            items[count] = sets.follower[k]
            count += 1
    target = intern_set(rules, sets, lex, items, count)
    if target != FULL:
        sets.after_token[number] = target
    return target


@folded
def after_token(rules, sets, number, node, most):  # type: ignore[no-untyped-def]
    """The set after any one token, DEAD or FULL; `most` nodes of `node` are tried for long ones."""
    known = np.int64(sets.after_token[number])
    if known != UNKNOWN:
        return known
    return _find_after_token(rules, sets, number, node, most)


@inner
def _find_after_text(rules, sets, number, alphabet):  # type: ignore[no-untyped-def]
    lex = np.int64(sets.lexeme[number])
    seen = {np.int64(-1)}
    items = np.empty(64, np.int64)
    count = np.int64(0)
    for i in range(sets.begin[number], sets.begin[number + 1]):
        seen.add(np.int64(sets.member[i]))
        if count == len(items):
            items = np.append(items, np.empty(len(items), np.int64))
        items[count] = sets.member[i]
        count += 1
    done = 0
    while done < count:
        state = items[done]
        done += 1
        for byte in range(256):
            if alphabet[byte]:
                target = np.int64(lexeme_step(rules, lex, state, byte))
                if target >= 0 and target not in seen:
                    seen.add(target)
                    if count == len(items):
                        items = np.append(items, np.empty(len(items), np.int64))
                    items[count] = target
                    count += 1
    target = intern_set(rules, sets, lex, items, count)
    if target != FULL:
        sets.after_text[number] = target
        if target >= 0:
            sets.after_text[target] = target
    return target


@folded
def after_text(rules, sets, number, alphabet):  # type: ignore[no-untyped-def]
    """The set after any text over `alphabet` (uint8[256]), the empty one included; or FULL."""
    known = np.int64(sets.after_text[number])
    if known != UNKNOWN:
        return known
    return _find_after_text(rules, sets, number, alphabet)


@inner
def _new_side(rules, sets, mids, number):  # type: ignore[no-untyped-def]
    begin = sets.size[N_SIDES]
    path = np.empty(4096, np.int64)
    path[0] = number
    count = np.int64(0)
    at = np.int64(0)
    while at < len(mids.node):
        depth = mids.node[at, 1]
        target = after_byte(rules, sets, path[depth - 1], np.int64(mids.node[at, 0]))
        if target == FULL:
            return False
        path[depth] = target
        if target < 0:
            at = np.int64(mids.skip[at])
            continue
        if mids.node[at, 3] >= 0 and sets.accepts[target]:
            if begin + count >= len(sets.side_mid):
                return False
            sets.side_mid[begin + count] = mids.node[at, 3]
            count += 1
        at += 1
    sets.side[number, 0] = begin
    sets.side[number, 1] = begin + count
    sets.size[N_SIDES] = begin + count
    return True


@lean
def find_side(rules, sets, mids, number):  # type: ignore[no-untyped-def]
    """Finds the mids at which a terminal in this set may end, unless known; False: no room."""
    if sets.side[number, 0] >= 0:
        return True
    return _new_side(rules, sets, mids, number)


@entry
def first_set(rules, sets, lex):  # type: ignore[no-untyped-def]
    """Number of the set of the first state of `lex`, or FULL."""
    items = np.zeros(1, np.int64)
    return intern_set(rules, sets, lex, items, np.int64(1))


@shared_entry
def run_from_mid(rules, sets, mids, mid, lex, ends):  # type: ignore[no-untyped-def]
    """(number of mids written to `ends`, set in which the token is left); the count FULL: no room.

    The terminal `lex` begins at `mid`; the mids are those at which it may end.
    """
    root = mids.node_of[mid]
    floor = mids.node[root, 1]
    path = np.empty(4096, np.int64)
    path[floor] = sets.first[lex]
    count = np.int64(0)
    leaving = np.empty(64, np.int64)
    n_leaving = np.int64(0)
    at = np.int64(root + 1)
    while at < mids.skip[root]:
        depth = mids.node[at, 1]
        target = after_byte(rules, sets, path[depth - 1], np.int64(mids.node[at, 0]))
        if target == FULL:
            return np.int64(FULL), np.int64(DEAD)
        path[depth] = target
        if target < 0:
            at = np.int64(mids.skip[at])
            continue
        if mids.node[at, 3] >= 0 and sets.accepts[target]:
            ends[count] = mids.node[at, 3]
            count += 1
        if mids.node[at, 2]:
            for i in range(sets.begin[target], sets.begin[target + 1]):
                if n_leaving == len(leaving):
                    n_leaving = sort_unique(leaving, n_leaving)
                    if 2 * n_leaving > len(leaving):
                        leaving = np.append(leaving, np.empty(len(leaving), np.int64))
                leaving[n_leaving] = sets.member[i]
                n_leaving += 1
        at += 1
    return count, intern_set(rules, sets, lex, leaving, n_leaving)


@entry
def fill_runs(rules, sets, mids, wanted, run, run_mid):  # type: ignore[no-untyped-def]
    """Fills `run` and `run_mid` for the wanted (uint8[V, L]) mids and terminals.

    The number of entries of `run_mid`, FULL where some array has no room.
    """
    used = np.int64(0)
    ends = np.empty(len(mids.node_of) + 1, np.int64)
    for mid in range(len(mids.node_of)):
        for lex in range(wanted.shape[1]):
            run[mid, lex, 0] = used
            run[mid, lex, 1] = used
            run[mid, lex, 2] = DEAD
            if not wanted[mid, lex]:
                continue
            count, leaving = run_from_mid(rules, sets, mids, mid, lex, ends)
            if count == FULL or leaving == FULL or used + count > len(run_mid):
                return np.int64(FULL)
            for i in range(count):
                run_mid[used + i] = ends[i]
            used += count
            run[mid, lex, 1] = used
            run[mid, lex, 2] = leaving
    return used


@entry
def ends_at(rules, sets, mids, lex, states, found):  # type: ignore[no-untyped-def]
    """Marks in uint8[V] the mids at which `lex` may end, begun in any of the states; OK or FULL."""
    number = intern_set(rules, sets, lex, states, np.int64(len(states)))
    if number == FULL or not find_side(rules, sets, mids, number):
        return np.int64(FULL)
    for i in range(sets.side[number, 0], sets.side[number, 1]):
        found[sets.side_mid[i]] = 1
    return np.int64(0)


@entry
def rehash_sets(sets):  # type: ignore[no-untyped-def]
    """Enters every set into the emptied hash table."""
    last = len(sets.table) - 1
    for number in range(sets.size[N_SETS]):
        h = np.uint64(sets.lexeme[number])
        for i in range(sets.begin[number], sets.begin[number + 1]):
            h = mix(h, np.int64(sets.member[i]))
        slot = np.int64(h & np.uint64(last))
        while sets.table[slot] >= 0:
            slot = (slot + 1) & last
        sets.table[slot] = number
