"""Configurations: all readings of a text, and the steps between them."""

from __future__ import annotations

import numpy as np
from numba import njit

from guided.kernels.lexemes import lexeme_accepts, lexeme_distance, lexeme_live, lexeme_step
from guided.kernels.memo_arrays import (
    ACCEPTING,
    BEGIN,
    END,
    FAR,
    GROUP,
    GROUP_END,
    GROW,
    ITEM_CONTEXT,
    ITEM_STATE,
    KEY,
    LEXEME,
    N_CONFIGS,
    N_STEPS,
    N_THREADS,
    REST,
    SCAN,
    SCAN_END,
    START,
    TAIL,
    TO,
    grown,
    mix,
    sort_unique,
)
from guided.kernels.parse_sets import intern_set, is_tail


@njit(cache=True, nogil=True)
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
    if (
        new + 1 >= len(memo.config)
        or begin + count >= len(memo.thread)
        or 2 * new >= size
    ):
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
    memo.size[N_CONFIGS] = new + 1
    memo.size[N_THREADS] = begin + count
    memo.config_hash[slot] = new
    return new


@njit(cache=True, nogil=True)
def _compute_step(rules, memo, config, byte):  # type: ignore[no-untyped-def]
    """Configuration after `byte`, computed from the threads; or a status < 0."""
    begin = memo.config[config, BEGIN]
    end = memo.config[config, END]
    threads = np.empty(end - begin + 16, np.int64)
    n_threads = 0
    kernel = np.empty(16, np.int64)
    n_kernel = 0
    for i in range(begin, end):
        thread = memo.thread[i]
        group = thread >> 32
        lex = memo.group[group, LEXEME]
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
            for scan in range(memo.group[group, SCAN], memo.group[group, SCAN_END]):
                q = np.int64(memo.scan[scan, ITEM_STATE])
                context = np.int64(memo.scan[scan, ITEM_CONTEXT])
                first = np.int64(-1)
                last = np.int64(0)
                if is_tail(rules, q):
                    first = memo.context[context, BEGIN]
                    last = memo.context[context, END]
                while n_kernel + (last - first) + 1 > len(kernel):
                    kernel = grown(kernel)
                if first < 0:
                    kernel[n_kernel] = q << 32 | context
                    n_kernel += 1
                else:
                    for k in range(first, last):
                        kernel[n_kernel] = np.int64(memo.waiting[k, ITEM_STATE]) << 32 | np.int64(
                            memo.waiting[k, ITEM_CONTEXT]
                        )
                        n_kernel += 1
    accepting = 0
    if n_kernel > 0:
        n_kernel = sort_unique(kernel, n_kernel)
        fresh = intern_set(rules, memo, kernel, n_kernel)
        if fresh < 0:
            return fresh
        accepting = np.int64(memo.parse_set[fresh, ACCEPTING])
        for group in range(memo.parse_set[fresh, GROUP], memo.parse_set[fresh, GROUP_END]):
            if n_threads >= len(threads):
                threads = grown(threads)
            threads[n_threads] = np.int64(group) << 32
            n_threads += 1
        n_threads = sort_unique(threads, n_threads)
    return intern_config(rules, memo, threads, n_threads, accepting)


#: Answer of `known_step` where the step was never made.
UNKNOWN = -9


@njit(inline="always")
def known_step(live, table, config, byte):  # type: ignore[no-untyped-def]
    """Configuration after `byte` (0: dead) if the memo has it, else UNKNOWN.

    `live` and `table` are the memo's arrays of that name and `step`: handing over the whole memo in
    the inner loop of a walk would cost more than the look-up.
    """
    target = np.int64(0)
    if (live[config, byte >> 6] >> np.uint64(byte & 63)) & np.uint64(1) != 0:
        key = np.int64(config) << 8 | np.int64(byte)
        last = len(table) - 1
        slot = np.int64(mix(np.uint64(7), key) & np.uint64(last))
        while table[slot, KEY] != key and table[slot, KEY] != -1:
            slot = (slot + 1) & last
        target = table[slot, TO] if table[slot, KEY] == key else np.int64(UNKNOWN)
    return target


@njit(cache=True, nogil=True)
def new_step(rules, memo, config, byte):  # type: ignore[no-untyped-def]
    """Makes a step that the memo does not have yet; the configuration or a status < 0."""
    size = len(memo.step)
    if 2 * memo.size[N_STEPS] >= size:
        return np.int64(GROW)
    target = _compute_step(rules, memo, config, byte)
    if target >= 0:
        key = np.int64(config) << 8 | np.int64(byte)
        slot = np.int64(mix(np.uint64(7), key) & np.uint64(size - 1))
        while memo.step[slot, KEY] != -1:
            slot = (slot + 1) & (size - 1)
        memo.step[slot, KEY] = key
        memo.step[slot, TO] = target
        memo.size[N_STEPS] += 1
    return target


@njit(cache=True, nogil=True)
def step(rules, memo, config, byte):  # type: ignore[no-untyped-def]
    """Configuration after `byte` (0: dead), or a status < 0."""
    target = known_step(memo.live, memo.step, config, byte)
    if target == UNKNOWN:
        target = new_step(rules, memo, config, byte)
    return target


@njit(cache=True, nogil=True)
def start_config(rules, memo, rule):  # type: ignore[no-untyped-def]
    """Configuration before the first byte of `rule`, or a status < 0."""
    kernel = np.empty(1, np.int64)
    # Context 1 is the end of the text.
    kernel[0] = np.int64(rules.rule[rule, START]) << 32 | np.int64(1)
    fresh = intern_set(rules, memo, kernel, 1)
    if fresh < 0:
        return fresh
    first = memo.parse_set[fresh, GROUP]
    count = memo.parse_set[fresh, GROUP_END] - first
    threads = np.empty(count, np.int64)
    for i in range(count):
        threads[i] = np.int64(first + i) << 32
    return intern_config(rules, memo, threads, count, np.int64(memo.parse_set[fresh, ACCEPTING]))


@njit(cache=True, nogil=True)
def walk_bytes(rules, memo, config, data):  # type: ignore[no-untyped-def]
    """(configuration or status, number of bytes taken) after as much of `data` as is legal."""
    for i in range(len(data)):
        target = step(rules, memo, config, data[i])
        if target <= 0:
            return target, i
        config = target
    return np.int64(config), len(data)
