"""Packed token masks of a configuration, by a walk over the token tries."""

from __future__ import annotations

import numpy as np
from numba import njit

from guided.kernels.parsing import (
    BODY,
    FAR,
    OK,
    PLAIN,
    intern_config,
    lexeme_distance,
    lexeme_step,
    sort_unique,
    step,
)

#: Characters up to which survival is known (the longest slice).
REACH = 64


@njit(cache=True, nogil=True)
def _survival(rules, lex, state, charset):  # type: ignore[no-untyped-def]
    """How many characters of the charset may follow in terminal `lex`, whatever they are."""
    dfa = rules.lex_dfa[lex]
    first = rules.dfa_first[dfa]
    if rules.lex_least[lex] == PLAIN:
        return np.int64(rules.st_survive[first + state, charset])
    states = rules.dfa_first[dfa + 1] - first
    count = state // states
    base = state - count * states
    if base != BODY:
        return np.int64(0)
    most = rules.lex_most[lex]
    if most < 0:
        return np.int64(REACH)
    return min(np.int64(REACH), np.int64(most - count))


@njit(cache=True, nogil=True)
def compute_mask(rules, memo, tries, lengths, config, out):  # type: ignore[no-untyped-def]
    """Writes the packed mask of `config`; (status, an upper bound of the byte distance after it).

    Whole slices are taken over where some thread survives every token of them; the other tries
    are walked.
    """
    out[:] = 0
    far = np.int64(0)
    n_slices = len(lengths)
    taken = np.zeros(len(tries.first), np.uint8)
    for charset in range(3):
        best = np.int64(0)
        bound = np.int64(0)
        for i in range(memo.cfg_begin[config], memo.cfg_end[config]):
            group = memo.thread[i] >> 32
            lex = memo.grp_lex[group]
            survive = _survival(rules, lex, memo.thread[i] & 0xFFFFFFFF, charset)
            if survive > best:
                best = survive
                bound = np.int64(memo.grp_dist[group]) + rules.lex_far[lex]
        if best > 0:
            for j in range(n_slices):
                if lengths[j] <= best:
                    k = 1 + charset * n_slices + j
                    taken[k] = 1
                    far = max(far, bound)
                    for word in range(len(out)):
                        out[word] |= tries.slice_masks[k, word]
    path = np.empty(4096, np.int64)
    path[0] = config
    for k in range(len(tries.first) - 1):
        if taken[k]:
            continue
        node = tries.first[k]
        end = tries.first[k + 1]
        while node < end:
            depth = tries.node_depth[node]
            target = step(rules, memo, path[depth - 1], tries.node_byte[node])
            if target < 0:
                return target, far
            if target == 0:
                node = tries.node_skip[node]
                continue
            path[depth] = target
            token = tries.node_token[node]
            if token >= 0:
                far = max(far, np.int64(memo.cfg_dist[target]))
                while token >= 0:
                    out[token >> 5] |= np.int32(1) << (token & 31)
                    token = tries.next_same[token]
            node += 1
    if memo.cfg_accepting[config]:
        for i in range(len(tries.stop_ids)):
            token = tries.stop_ids[i]
            out[token >> 5] |= np.int32(1) << (token & 31)
    return np.int64(OK), far


@njit(cache=True, nogil=True)
def list_tokens(rules, memo, tries, config, tokens, targets):  # type: ignore[no-untyped-def]
    """(status, count): every allowed token but stop ids, and the configuration after it."""
    count = 0
    path = np.empty(4096, np.int64)
    path[0] = config
    node = 0
    end = len(tries.node_byte)
    while node < end:
        depth = tries.node_depth[node]
        target = step(rules, memo, path[depth - 1], tries.node_byte[node])
        if target < 0:
            return target, 0
        if target == 0:
            node = tries.node_skip[node]
            continue
        path[depth] = target
        token = tries.node_token[node]
        while token >= 0:
            tokens[count] = token
            targets[count] = target
            count += 1
            token = tries.next_same[token]
        node += 1
    return np.int64(OK), count


@njit(cache=True, nogil=True)
def clamp_config(rules, memo, config, longest):  # type: ignore[no-untyped-def]
    """A configuration with the same mask whose counters are the smallest with that mask.

    Where a counter is further than `longest` characters from its bounds, no single token can tell
    how far.
    """
    begin = memo.cfg_begin[config]
    end = memo.cfg_end[config]
    changed = False
    threads = np.empty(end - begin, np.int64)
    for i in range(begin, end):
        thread = memo.thread[i]
        threads[i - begin] = thread
        lex = memo.grp_lex[thread >> 32]
        least = np.int64(rules.lex_least[lex])
        if least == PLAIN:
            continue
        dfa = rules.lex_dfa[lex]
        states = np.int64(rules.dfa_first[dfa + 1] - rules.dfa_first[dfa])
        state = thread & 0xFFFFFFFF
        count = state // states
        clamped = count
        most = np.int64(rules.lex_most[lex])
        if count < least:
            if least - count > longest:
                clamped = 0
        elif most >= 0 and most - count > longest and most - least > longest:
            clamped = least
        if clamped != count:
            changed = True
            threads[i - begin] = thread - (count - clamped) * states
    if not changed:
        return np.int64(config)
    count = sort_unique(threads, end - begin)
    return intern_config(rules, memo, threads, count, np.int64(memo.cfg_accepting[config]))


@njit(cache=True, nogil=True)
def shortest_path(rules, memo, config, out):  # type: ignore[no-untyped-def]
    """(status, count): bytes of a shortest way from `config` to a word, at most len(out) of them.

    Follows, at every byte, the thread that is nearest to the end.
    """
    count = 0
    while count < len(out) and not memo.cfg_accepting[config]:
        best = np.int64(FAR)
        chosen = np.int64(-1)
        for i in range(memo.cfg_begin[config], memo.cfg_end[config]):
            thread = memo.thread[i]
            group = thread >> 32
            lex = memo.grp_lex[group]
            distance = np.int64(memo.grp_dist[group]) + lexeme_distance(
                rules, lex, thread & 0xFFFFFFFF
            )
            if distance == 0 or distance < best:
                best = distance
                chosen = thread
        if chosen < 0:
            break
        byte = _nearest_byte(rules, memo, chosen)
        if byte < 0:
            break
        target = step(rules, memo, config, byte)
        if target <= 0:
            return target, count
        out[count] = byte
        count += 1
        config = target
    return np.int64(OK), count


@njit(cache=True, nogil=True)
def _nearest_byte(rules, memo, thread):  # type: ignore[no-untyped-def]
    """The byte after which the thread's terminal is nearest to its end, -1 if there is none."""
    lex = memo.grp_lex[thread >> 32]
    state = thread & 0xFFFFFFFF
    best = np.int64(FAR)
    chosen = -1
    for byte in range(256):
        target = lexeme_step(rules, lex, state, byte)
        if target >= 0:
            distance = np.int64(lexeme_distance(rules, lex, target))
            if distance < best:
                best = distance
                chosen = byte
    return chosen


@njit(cache=True, nogil=True)
def forced_bytes(rules, memo, config, out):  # type: ignore[no-untyped-def]
    """(status, count): bytes that every word continues with from `config`, at most len(out)."""
    count = 0
    while count < len(out) and not memo.cfg_accepting[config]:
        byte = -1
        for word in range(4):
            bits = memo.cfg_live[config, word]
            if bits == 0:
                continue
            if byte >= 0 or bits & (bits - np.uint64(1)) != 0:
                return np.int64(OK), count
            byte = word * 64
            while bits != np.uint64(1):
                bits >>= np.uint64(1)
                byte += 1
        if byte < 0:
            break
        target = step(rules, memo, config, byte)
        if target < 0:
            return target, count
        out[count] = byte
        count += 1
        config = target
    return np.int64(OK), count
