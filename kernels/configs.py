"""Configurations: all readings of a text, and the steps between them."""

from __future__ import annotations

import numpy as np
from numba import njit

from guided.kernels.atomics import publish
from guided.kernels.compiling import lean, lean_entry
from guided.kernels.contexts import open_memo
from guided.kernels.handles import opened
from guided.kernels.lexemes import (
    lexeme_distance,
    lexeme_fact,
    lexeme_live,
    lexeme_step,
)
from guided.kernels.memo_arrays import (
    ACCEPT,
    ACCEPTING,
    BEGIN,
    DEAD,
    DFA,
    END,
    FAR,
    FOLLOW,
    GROUP,
    GROUP_END,
    GROW,
    ITEM_CONTEXT,
    ITEM_STATE,
    LEXEME,
    N_CONFIGS,
    N_THREADS,
    ONWARD,
    OPENED,
    REST,
    SCAN,
    SCAN_END,
    START,
    STEP,
    TAIL,
    UNKNOWN,
    mix,
    sort_unique,
)
from guided.kernels.parse_sets import intern_set, is_tail

#: The dead configuration, from which `make_step` begins a rule.
NOWHERE = 0
#: Threads up to which a step is made for all bytes at once that no thread tells apart.
_FEW = 32


@lean
def intern_config(rules, memo, threads, count, accepting):  # type: ignore[no-untyped-def]
    """Id of the configuration with the sorted threads; 0 for the dead one, or a status < 0."""
    if count == 0 and not accepting:
        return np.int64(0)
    h = np.uint64(count * 2 + accepting)
    for i in range(count):
        h = mix(h, threads[i])
    size = len(memo.config_hash)
    slot = np.int64(h & np.uint64(size - 1))
    while memo.config_hash[slot] != 0:
        c = memo.config_hash[slot]
        begin = memo.config[c, BEGIN]
        if memo.config[c, END] - begin == count and memo.config[c, ACCEPTING] == accepting:
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
    if new + 1 >= len(memo.config) or begin + count >= len(memo.thread) or 2 * new >= size:
        return np.int64(GROW)
    distance = np.int64(0 if accepting else FAR)
    for word in range(4):
        memo.live[new, word] = 0
    for i in range(count):
        thread = threads[i]
        memo.thread[begin + i] = thread
        group = thread >> 32
        state = thread & 0xFFFFFFFF
        lex = memo.group[group, LEXEME]
        distance = min(distance, memo.group[group, TAIL] + lexeme_distance(rules, lex, state))
        for word in range(4):
            memo.live[new, word] |= lexeme_live(rules, lex, state, word)
    memo.config[new, BEGIN] = begin
    memo.config[new, END] = begin + count
    memo.config[new, ACCEPTING] = accepting
    memo.config[new, REST] = distance
    memo.config[new, OPENED] = 0
    memo.size[N_CONFIGS] = new + 1
    memo.size[N_THREADS] = begin + count
    memo.config_hash[slot] = new
    return new


@lean
def _scan_group(rules, memo, group, kernel, count):  # type: ignore[no-untyped-def]
    """Adds the items after the terminal of `group` to `kernel`; the new count, -1: no room."""
    for scan in range(memo.group[group, SCAN], memo.group[group, SCAN_END]):
        q = np.int64(memo.scan[scan, ITEM_STATE])
        context = np.int64(memo.scan[scan, ITEM_CONTEXT])
        if not is_tail(rules, q):
            if count >= len(kernel):
                return -1
            kernel[count] = q << 32 | context
            count += 1
            continue
        # Nothing follows in the rule: go on at once with what waits for it.
        first = memo.context[context, BEGIN]
        last = memo.context[context, END]
        if count + last - first > len(kernel):
            return -1
        for i in range(first, last):
            outer = np.int64(memo.waiting[i, ITEM_CONTEXT])
            kernel[count] = np.int64(memo.waiting[i, ITEM_STATE]) << 32 | outer
            count += 1
    return count


@lean
def _open(memo, config):  # type: ignore[no-untyped-def]
    """Writes down which bytes lead nowhere."""
    for word in range(4):
        bits = memo.live[config, word]
        for bit in range(64):
            if (bits >> np.uint64(bit)) & np.uint64(1) == 0:
                memo.step[config, word * 64 + bit] = DEAD
    memo.config[config, OPENED] = 1


@lean
def _enter_step(rules, memo, config, byte, target):  # type: ignore[no-untyped-def]
    """Writes down the step for `byte`, and for all bytes that few threads do not tell from it."""
    memo.step[config, byte] = target
    begin = memo.config[config, BEGIN]
    end = memo.config[config, END]
    if end - begin > _FEW:
        return
    for other in range(256):
        if memo.step[config, other] != UNKNOWN:
            continue
        same = True
        for i in range(begin, end):
            lex = memo.group[memo.thread[i] >> 32, LEXEME]
            dfa = rules.lexeme[lex, DFA]
            if rules.columns[dfa, other] != rules.columns[dfa, byte]:
                same = False
                break
        if same:
            memo.step[config, other] = target


@lean
def _config_of(rules, memo, threads, n_threads, kernel, n_kernel):  # type: ignore[no-untyped-def]
    """The configuration of `threads` and of the terminals that come after the items in `kernel`."""
    accepting = np.int64(0)
    if n_kernel > 0:
        if n_kernel > 1:
            n_kernel = sort_unique(kernel, n_kernel)
        fresh = intern_set(rules, memo, kernel, n_kernel)
        if fresh < 0:
            return fresh
        accepting = np.int64(memo.parse_set[fresh, ACCEPTING])
        first = memo.parse_set[fresh, GROUP]
        last = memo.parse_set[fresh, GROUP_END]
        if n_threads + last - first >= len(threads):
            return np.int64(GROW)
        for group in range(first, last):
            threads[n_threads] = np.int64(group) << 32
            n_threads += 1
        n_threads = sort_unique(threads, n_threads)
    return intern_config(rules, memo, threads, n_threads, accepting)


@lean
def make_step(rules, memo, config, byte):  # type: ignore[no-untyped-def]
    """Makes a step that the memo does not have yet; the configuration or a status < 0.

    From NOWHERE it leads to the configuration before the first byte of rule number `byte`.
    """
    threads = memo.thread_room
    n_threads = np.int64(0)
    kernel = memo.kernel_room
    n_kernel = np.int64(0)
    begin = memo.config[config, BEGIN]
    end = memo.config[config, END]
    if end - begin >= len(threads):
        return np.int64(GROW)
    if config == NOWHERE:
        # Context 1 is the end of the text.
        kernel[0] = np.int64(rules.rule[byte, START]) << 32 | np.int64(1)
        n_kernel = np.int64(1)
    elif not memo.config[config, OPENED]:
        _open(memo, config)
        if memo.step[config, byte] == DEAD:
            return np.int64(0)
    for i in range(begin, end):
        thread = memo.thread[i]
        group = thread >> 32
        lex = memo.group[group, LEXEME]
        state = lexeme_step(rules, lex, thread & 0xFFFFFFFF, byte)
        if state < 0:
            continue
        fact = lexeme_fact(rules, lex, state)
        if rules.fact[fact, ONWARD]:
            threads[n_threads] = group << 32 | np.int64(state)
            n_threads += 1
        if rules.fact[fact, ACCEPT]:
            n_kernel = _scan_group(rules, memo, group, kernel, n_kernel)
            if n_kernel < 0:
                return np.int64(GROW)
    target = _config_of(rules, memo, threads, n_threads, kernel, n_kernel)
    if target >= 0 and config != NOWHERE:
        publish()
        _enter_step(rules, memo, config, byte, target if target > 0 else np.int64(DEAD))
    return target


@lean
def after_group(rules, memo, group):  # type: ignore[no-untyped-def]
    """The configuration right after the terminal of `group`, or a status < 0."""
    known = np.int64(memo.group[group, FOLLOW])
    if known > 0:
        return known
    kernel = memo.kernel_room
    count = _scan_group(rules, memo, group, kernel, np.int64(0))
    if count < 0:
        return np.int64(GROW)
    target = _config_of(rules, memo, memo.thread_room, np.int64(0), kernel, count)
    if target > 0:
        publish()
        memo.group[group, FOLLOW] = target
    return target


@njit(inline="always")
def known_step(memo, config, byte):  # type: ignore[no-untyped-def]
    """Configuration after `byte` (0: dead), or the status STEP."""
    target = np.int64(memo.step[config, byte])
    if target == UNKNOWN:
        memo.scratch[1] = config
        memo.scratch[2] = byte
        target = np.int64(STEP)
    elif target == DEAD:
        target = np.int64(0)
    return target


@lean_entry
def walk(handle, config, data):  # type: ignore[no-untyped-def]
    """(configuration or status, number of bytes taken) up to the end or a dead step (0).

    From NOWHERE it opens the memo, and leads to the configuration before the first byte.
    """
    rules, memo = opened(handle)
    if config == NOWHERE:
        status = open_memo(rules, memo)
        if status >= 0:
            status = make_step(rules, memo, np.int64(NOWHERE), np.int64(0))
        return status, 0
    for i in range(len(data)):
        target = np.int64(memo.step[config, data[i]])
        if target == UNKNOWN:
            target = make_step(rules, memo, config, np.int64(data[i]))
        if target <= 0:
            return (np.int64(0) if target == DEAD else target), i
        config = target
    return config, len(data)
