"""Products of deterministic byte automata, and questions about one automaton."""

from __future__ import annotations

from typing import Any

import numpy as np

from guided.kernels.automata import FOUND, OK, TOO_MANY_STATES, Array, grown, taller
from guided.kernels.compiling import entry, inner, lean

UNION, INTERSECTION, DIFFERENCE = 0, 1, 2


@inner
def _join_classes(left: Array, right: Array) -> tuple[Array, Array, Array, int]:
    """The common refinement of two byte partitions, with the class of either side for each."""
    seen = np.full(65536, -1, np.int16)
    joined = np.empty(256, np.uint8)
    left_of = np.empty(256, np.int32)
    right_of = np.empty(256, np.int32)
    count = 0
    for byte in range(256):
        pair = (np.int64(left[byte]) << 8) | np.int64(right[byte])
        if seen[pair] < 0:
            seen[pair] = count
            left_of[count] = left[byte]
            right_of[count] = right[byte]
            count += 1
        joined[byte] = seen[pair]
    return joined, left_of, right_of, count


@lean
def _accepts_pair(left_accepts: bool, right_accepts: bool, operation: int) -> bool:
    if operation == UNION:
        return left_accepts or right_accepts
    if operation == INTERSECTION:
        return left_accepts and right_accepts
    return left_accepts and not right_accepts


@lean
def _slot(pairs: Array, slots: Array, key: Any) -> Any:
    """Where `key` is in the hash table, or the free place for it."""
    mixed = (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    slot = np.int64(mixed) & (len(slots) - 1)
    while slots[slot] >= 0 and pairs[slots[slot]] != key:
        slot = (slot + 1) & (len(slots) - 1)
    return slot


@inner
def _rehashed(pairs: Array, count: int) -> Array:
    """A hash table of the first pairs, four times as large as their capacity."""
    slots = np.full(4 * len(pairs), -1, np.int32)
    for state in range(count):
        slots[_slot(pairs, slots, pairs[state])] = state
    return slots


@entry
def product(
    left: Array,
    left_classes: Array,
    left_accepting: Array,
    right: Array,
    right_classes: Array,
    right_accepting: Array,
    operation: int,
    probe: bool,
    limit: int,
) -> tuple[int, Array, Array, Array]:
    """A boolean combination: (status, table, classes, accepting), not yet canonical.

    With `probe` it stops with FOUND at the first accepting pair.
    """
    joined, left_of, right_of, k = _join_classes(left_classes, right_classes)
    n_left, n_right = len(left_accepting), len(right_accepting)
    capacity = 64
    pairs = np.empty(capacity, np.int64)
    table = np.empty((capacity, k), np.int32)
    slots = np.full(4 * capacity, -1, np.int32)
    pairs[0] = 0
    slots[0] = 0
    count = np.int64(1)
    here = 0
    while here < count:
        p = pairs[here] // (n_right + 1)
        q = pairs[here] % (n_right + 1)
        if probe and _accepts_pair(
            p < n_left and left_accepting[p], q < n_right and right_accepting[q], operation
        ):
            return FOUND, table[:0], joined, np.zeros(0, np.bool_)
        for column in range(k):
            p_next = left[p, left_of[column]] if p < n_left else -1
            q_next = right[q, right_of[column]] if q < n_right else -1
            table[here, column] = -1
            if p_next < 0 and (q_next < 0 or operation != UNION):
                continue
            if q_next < 0 and operation == INTERSECTION:
                continue
            p_next = n_left if p_next < 0 else p_next
            q_next = n_right if q_next < 0 else q_next
            pair = np.int64(p_next) * (n_right + 1) + q_next
            slot = _slot(pairs, slots, pair)
            if slots[slot] < 0:
                if count >= limit:
                    return TOO_MANY_STATES, table[:0], joined, np.zeros(0, np.bool_)
                if count == capacity:
                    capacity *= 2
                    pairs = grown(pairs, capacity)
                    table = taller(table, capacity)
                    slots = _rehashed(pairs, count)
                    slot = _slot(pairs, slots, pair)
                pairs[count] = pair
                slots[slot] = count
                count += 1
            table[here, column] = slots[slot]
        here += 1
    accepting = np.zeros(count, np.bool_)
    for state in range(count):
        p = pairs[state] // (n_right + 1)
        q = pairs[state] % (n_right + 1)
        accepting[state] = _accepts_pair(
            p < n_left and left_accepting[p], q < n_right and right_accepting[q], operation
        )
    return OK, table[:count], joined, accepting


@entry
def longest(table: Array) -> int:
    """Most transitions on a path from the start, or -1 where a cycle makes it infinite."""
    n, k = table.shape
    degree = np.zeros(n, np.int32)
    for state in range(n):
        for column in range(k):
            if table[state, column] >= 0:
                degree[table[state, column]] += 1
    if degree[0]:
        return -1
    depth = np.zeros(n, np.int32)
    queue = np.zeros(n, np.int32)
    begin, end = 0, 1
    best = 0
    while begin < end:
        state = queue[begin]
        begin += 1
        best = max(best, depth[state])
        for column in range(k):
            target = table[state, column]
            if target >= 0:
                depth[target] = max(depth[target], depth[state] + 1)
                degree[target] -= 1
                if degree[target] == 0:
                    queue[end] = target
                    end += 1
    return best if end == n else -1


@entry
def run(table: Array, classes: Array, data: Array, state: int) -> int:
    """The state after reading `data`, or -1."""
    for byte in data:
        state = table[state, classes[byte]]
        if state < 0:
            return -1
    return state
