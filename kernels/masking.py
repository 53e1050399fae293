"""Packed token masks of a configuration, by a walk over the token tries."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry, inner
from guided.kernels.configs import UNKNOWN, intern_config, known_step, new_step
from guided.kernels.lexemes import lexeme_distance, lexeme_step
from guided.kernels.memo_arrays import (
    ACCEPTING,
    BEGIN,
    BODY,
    DFA,
    END,
    FAR,
    FARTHEST,
    FIRST,
    LEAST,
    LEXEME,
    MOST,
    OK,
    PLAIN,
    REST,
    SURVIVE,
    TAIL,
    sort_unique,
)
from guided.kernels.trie import BYTE, DEPTH, SKIP, TOKEN

#: Bytes of the longest token that a walk can follow.
MAX_DEPTH = 4096
#: Characters up to which survival is known (the longest slice).
REACH = 64


@inner
def _survival(rules, lex, state, charset):  # type: ignore[no-untyped-def]
    """How many characters of the charset may follow in terminal `lex`, whatever they are."""
    dfa = rules.lexeme[lex, DFA]
    first = rules.dfa[dfa, FIRST]
    if rules.lexeme[lex, LEAST] == PLAIN:
        return np.int64(rules.fact[first + state, SURVIVE + charset])
    states = rules.dfa[dfa + 1, FIRST] - first
    count = state // states
    base = state - count * states
    if base != BODY:
        return np.int64(0)
    most = rules.lexeme[lex, MOST]
    if most < 0:
        return np.int64(REACH)
    return min(np.int64(REACH), np.int64(most - count))


@entry
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
        for i in range(memo.config[config, BEGIN], memo.config[config, END]):
            group = memo.thread[i] >> 32
            lex = memo.group[group, LEXEME]
            survive = _survival(rules, lex, memo.thread[i] & 0xFFFFFFFF, charset)
            if survive > best:
                best = survive
                bound = np.int64(memo.group[group, TAIL]) + rules.lexeme[lex, FARTHEST]
        if best > 0:
            for j in range(n_slices):
                if lengths[j] <= best:
                    k = 1 + charset * n_slices + j
                    taken[k] = 1
                    far = max(far, bound)
                    for word in range(len(out)):
                        out[word] |= tries.slice_masks[k, word]
    path = np.empty(MAX_DEPTH, np.int64)
    path[0] = config
    table = memo.step
    node = tries.node
    for byte in range(256):
        if table[config, byte] == 0:
            continue
        for k in range(len(tries.first) - 1):
            at = tries.root[k, byte]
            if taken[k] or at < 0:
                continue
            end = node[at, SKIP]
            while at < end:
                depth = node[at, DEPTH]
                target = np.int64(table[path[depth - 1], node[at, BYTE]])
                if target == UNKNOWN:
                    target = new_step(rules, memo, path[depth - 1], np.int64(node[at, BYTE]))
                if target < 0:
                    return target, far
                if target == 0:
                    at = node[at, SKIP]
                    continue
                path[depth] = target
                token = node[at, TOKEN]
                if token >= 0:
                    far = max(far, np.int64(memo.config[target, REST]))
                    while token >= 0:
                        out[token >> 5] |= np.int32(1) << (token & 31)
                        token = tries.next_same[token]
                at += 1
    if memo.config[config, ACCEPTING]:
        for i in range(len(tries.stop_ids)):
            token = tries.stop_ids[i]
            out[token >> 5] |= np.int32(1) << (token & 31)
    return np.int64(OK), far


@entry
def list_tokens(rules, memo, tries, config, tokens, targets):  # type: ignore[no-untyped-def]
    """(status, count): every allowed token but stop ids, and the configuration after it."""
    count = 0
    path = np.empty(MAX_DEPTH, np.int64)
    path[0] = config
    table = memo.step
    node = tries.node
    for byte in range(256):
        if table[config, byte] == 0:
            continue
        for k in range(len(tries.first) - 1):
            at = tries.root[k, byte]
            end = node[at, SKIP] if at >= 0 else at
            while at < end:
                depth = node[at, DEPTH]
                target = np.int64(table[path[depth - 1], node[at, BYTE]])
                if target == UNKNOWN:
                    target = new_step(rules, memo, path[depth - 1], np.int64(node[at, BYTE]))
                if target < 0:
                    return target, 0
                if target == 0:
                    at = node[at, SKIP]
                    continue
                path[depth] = target
                token = node[at, TOKEN]
                while token >= 0:
                    tokens[count] = token
                    targets[count] = target
                    count += 1
                    token = tries.next_same[token]
                at += 1
    return np.int64(OK), count


@entry
def clamp_config(rules, memo, config, longest):  # type: ignore[no-untyped-def]
    """A configuration with the same mask whose counters are the smallest with that mask.

    Where a counter is further than `longest` characters from its bounds, no single token can tell
    how far.
    """
    begin = memo.config[config, BEGIN]
    end = memo.config[config, END]
    changed = False
    threads = np.empty(end - begin, np.int64)
    for i in range(begin, end):
        thread = memo.thread[i]
        threads[i - begin] = thread
        lex = memo.group[thread >> 32, LEXEME]
        least = np.int64(rules.lexeme[lex, LEAST])
        if least == PLAIN:
            continue
        dfa = rules.lexeme[lex, DFA]
        states = np.int64(rules.dfa[dfa + 1, FIRST] - rules.dfa[dfa, FIRST])
        state = thread & 0xFFFFFFFF
        count = state // states
        clamped = count
        most = np.int64(rules.lexeme[lex, MOST])
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
    return intern_config(rules, memo, threads, count, np.int64(memo.config[config, ACCEPTING]))


@entry
def shortest_path(rules, memo, config, out):  # type: ignore[no-untyped-def]
    """(status, count): bytes of a shortest way from `config` to a word, at most len(out) of them.

    Follows, at every byte, the thread that is nearest to the end.
    """
    count = 0
    while count < len(out) and not memo.config[config, ACCEPTING]:
        best = np.int64(FAR)
        chosen = np.int64(-1)
        for i in range(memo.config[config, BEGIN], memo.config[config, END]):
            thread = memo.thread[i]
            group = thread >> 32
            lex = memo.group[group, LEXEME]
            inside = np.int64(lexeme_distance(rules, lex, thread & 0xFFFFFFFF))
            distance = np.int64(memo.group[group, TAIL]) + inside
            # A terminal that may end here has a thread of what follows it, just as near.
            if inside > 0 and distance < best:
                best = distance
                chosen = thread
        if chosen < 0:
            break
        byte = _nearest_byte(rules, memo, chosen)
        if byte < 0:
            break
        target = known_step(memo, config, byte)
        if target <= 0:
            return target, count
        out[count] = byte
        count += 1
        config = target
    return np.int64(OK), count


@inner
def _nearest_byte(rules, memo, thread):  # type: ignore[no-untyped-def]
    """The byte after which the thread's terminal is nearest to its end, -1 if there is none."""
    lex = memo.group[thread >> 32, LEXEME]
    state = thread & 0xFFFFFFFF
    best = np.int64(FAR)
    chosen = np.int64(-1)
    for byte in range(256):
        target = lexeme_step(rules, lex, state, byte)
        if target >= 0:
            distance = np.int64(lexeme_distance(rules, lex, target))
            if distance < best:
                best = distance
                chosen = np.int64(byte)
    return chosen


@entry
def forced_bytes(rules, memo, config, out):  # type: ignore[no-untyped-def]
    """(status, count): bytes that every word continues with from `config`, at most len(out)."""
    count = 0
    while count < len(out) and not memo.config[config, ACCEPTING]:
        byte = np.int64(-1)
        for word in range(4):
            bits = memo.live[config, word]
            if bits == 0:
                continue
            if byte >= 0 or bits & (bits - np.uint64(1)) != 0:
                return np.int64(OK), count
            byte = np.int64(word * 64)
            while bits != np.uint64(1):
                bits >>= np.uint64(1)
                byte += 1
        if byte < 0:
            break
        target = known_step(memo, config, byte)
        if target < 0:
            return target, count
        out[count] = byte
        count += 1
        config = target
    return np.int64(OK), count
