"""What follows a configuration but its mask: with smaller counters, a shortest way, bytes."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import lean, lean_entry
from guided.kernels.configs import intern_config, known_step
from guided.kernels.handles import opened
from guided.kernels.lexemes import lexeme_distance, lexeme_step
from guided.kernels.memo_arrays import (
    ACCEPTING,
    BEGIN,
    DFA,
    END,
    FAR,
    FIRST,
    LEAST,
    LEXEME,
    MOST,
    OK,
    PLAIN,
    TAIL,
    sort_unique,
)


@lean_entry
def clamp_config(handle, config, longest):  # type: ignore[no-untyped-def]
    """A configuration with the same mask whose counters are the smallest with that mask.

    Where a counter is further than `longest` characters from its bounds, no single token can tell
    how far.
    """
    rules, memo = opened(handle)
    begin = memo.config[config, BEGIN]
    end = memo.config[config, END]
    changed = False
    threads = memo.thread_room
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


@lean_entry
def shortest_path(handle, config, out):  # type: ignore[no-untyped-def]
    """(status, count): bytes of a shortest way from `config` to a word, at most len(out) of them.

    Follows, at every byte, the thread that is nearest to the end.
    """
    rules, memo = opened(handle)
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


@lean
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


@lean_entry
def forced_bytes(handle, config, out):  # type: ignore[no-untyped-def]
    """(status, count): bytes that every word continues with from `config`, at most len(out)."""
    _, memo = opened(handle)
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
