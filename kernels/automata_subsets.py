"""Subset construction, with assertions checked by a second automaton."""

from __future__ import annotations

from typing import Any

import numpy as np

from guided.kernels.automata import (
    OK,
    TOO_MANY_STATES,
    TOO_MUCH_WORK,
    Array,
    grown,
    taller,
)
from guided.kernels.compiling import entry, inner, lean


@entry
def constrain(
    first: Array,
    labels: Array,
    targets: Array,
    start: int,
    end: int,
    tail: int,
    table: Array,
    column_of: Array,
    marks: Array,
    n_constraint: int,
    limit: int,
) -> tuple[int, Array, Array, Array, int, Array]:
    """The product with the constraint automaton, where marks have become empty edges.

    Returns (status, sources, labels, targets, number of states, which of them are sinks): state 0
    is the end, state 1 the start. Sinks are the tail where the constraint forbids nothing.
    """
    number = np.full((len(first) - 1) * n_constraint, -1, np.int32)
    capacity = 256
    pairs = np.empty(capacity, np.int32)
    out_sources = np.empty(capacity, np.int32)
    out_labels = np.empty(capacity, np.int32)
    out_targets = np.empty(capacity, np.int32)
    pairs[0] = start * n_constraint
    number[pairs[0]] = 1
    count, here, edge = 2, 0, 0
    # State 0 is the common end.
    while here + 1 < count:
        state, context = pairs[here] // n_constraint, pairs[here] % n_constraint
        source = here + 1
        here += 1
        for i in range(first[state], first[state + 1] + 1):
            if edge >= limit:
                return TOO_MUCH_WORK, out_sources, out_labels, out_targets, count, number > 0
            if i == first[state + 1]:
                if state != end or marks[context, 0] < 1:
                    continue
                label, target = -1, 0
            else:
                label = labels[i]
                after = context
                if label >= 0:
                    after = table[context, column_of[label]]
                elif label < -1:
                    after = marks[context, -1 - label]
                    label = -1
                if after < 0:
                    continue
                pair = targets[i] * n_constraint + after
                if number[pair] < 0:
                    if count - 1 == len(pairs):
                        pairs = grown(pairs, 2 * len(pairs))
                    pairs[count - 1] = pair
                    number[pair] = count
                    count += 1
                target = number[pair]
            if edge == len(out_sources):
                out_sources = grown(out_sources, 2 * edge)
                out_labels = grown(out_labels, 2 * edge)
                out_targets = grown(out_targets, 2 * edge)
            out_sources[edge], out_labels[edge], out_targets[edge] = source, label, target
            edge += 1
    is_sink = np.zeros(count, np.bool_)
    for i in range(count - 1):
        is_sink[i + 1] = pairs[i] // n_constraint == tail and marks[pairs[i] % n_constraint, 0] == 2
    return OK, out_sources[:edge], out_labels[:edge], out_targets[:edge], count, is_sink


@lean
def _close(
    seeds: Array,
    n_seeds: int,
    first: Array,
    labels: Array,
    targets: Array,
    is_kept: Array,
    is_sink: Array,
    stamp_of: Array,
    stamp: int,
    members: Array,
) -> tuple[int, int]:
    """Fill `members` with the kept states that empty edges reach; returns (size, steps).

    Where a sink is reached the size is -1 - sink.
    """
    depth, size, steps = 0, 0, 0
    # `members` holds the result from the left and the stack from the right.
    capacity = len(members)
    for i in range(n_seeds):
        stamp_of[seeds[i]] = stamp
        depth += 1
        members[capacity - depth] = seeds[i]
    while depth:
        state = members[capacity - depth]
        depth -= 1
        steps += 1
        if is_sink[state]:
            return -1 - state, steps
        if is_kept[state]:
            members[size] = state
            size += 1
        for edge in range(first[state], first[state + 1]):
            steps += 1
            if labels[edge] == -1 and stamp_of[targets[edge]] != stamp:
                stamp_of[targets[edge]] = stamp
                depth += 1
                members[capacity - depth] = targets[edge]
    return size, steps


@inner
def _link_targets(
    begin: int,
    end: int,
    pool: Array,
    first: Array,
    labels: Array,
    targets: Array,
    head: Array,
    entry_target: Array,
    following: Array,
) -> tuple[int, Array, Array]:
    """Sort the targets of a set of states by label, into lists linked through `following`."""
    entries = 0
    for i in range(begin, end):
        state = pool[i]
        for edge in range(first[state], first[state + 1]):
            label = labels[edge]
            if label < 0:
                continue
            if entries == len(following):
                following = grown(following, 2 * entries)
                entry_target = grown(entry_target, 2 * entries)
            entry_target[entries] = targets[edge]
            following[entries] = head[label]
            head[label] = entries
            entries += 1
    return entries, entry_target, following


@lean
def _take_targets(
    column: int,
    head: Array,
    entry_target: Array,
    following: Array,
    stamp_of: Array,
    stamp: int,
    seeds: Array,
) -> int:
    """Move the distinct targets of a label into `seeds`; returns their number."""
    n_seeds = 0
    entry = head[column]
    head[column] = -1
    while entry >= 0:
        target = entry_target[entry]
        if stamp_of[target] != stamp:
            stamp_of[target] = stamp
            seeds[n_seeds] = target
            n_seeds += 1
        entry = following[entry]
    return n_seeds


@lean
def _digest(members: Array, size: int, stamp_of: Array, stamp: int) -> Any:
    """A hash of a set that does not depend on its order; its members are stamped."""
    digest = np.uint64(size)
    for i in range(size):
        stamp_of[members[i]] = stamp
        mixed = (np.uint64(members[i]) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        digest += (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return digest


@lean
def _place_of(
    digest: Any,
    size: int,
    slots: Array,
    hashes: Array,
    begins: Array,
    pool: Array,
    stamp_of: Array,
    stamp: int,
) -> Any:
    """The slot of the set whose members carry `stamp`, or the free slot for it."""
    slot = np.int64(digest >> np.uint64(33)) & (len(slots) - 1)
    while slots[slot] >= 0:
        other = slots[slot]
        if hashes[other] == digest and begins[other + 1] - begins[other] == size:
            same = True
            for i in range(begins[other], begins[other + 1]):
                if stamp_of[pool[i]] != stamp:
                    same = False
                    break
            if same:
                return slot
        slot = (slot + 1) & (len(slots) - 1)
    return slot


@inner
def _rehashed(hashes: Array, count: int) -> Array:
    """A hash table of the first sets, four times as large as their capacity."""
    slots = np.full(4 * len(hashes), -1, np.int32)
    for state in range(count):
        slot = np.int64(hashes[state] >> np.uint64(33)) & (len(slots) - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = state
    return slots


@inner
def _kept_states(first: Array, labels: Array, end: int) -> Array:
    """The states that a set must name: those with labelled edges, and the end."""
    is_kept = np.zeros(len(first) - 1, np.bool_)
    is_kept[end] = True
    for state in range(len(first) - 1):
        for edge in range(first[state], first[state + 1]):
            if labels[edge] >= 0:
                is_kept[state] = True
    return is_kept


@entry
def determinise(
    first: Array,
    labels: Array,
    targets: Array,
    n_classes: int,
    start: int,
    end: int,
    is_sink: Array,
    max_states: int,
    max_work: int,
) -> tuple[int, Array, Array]:
    """Subset construction: (status, table, accepting)."""
    n = len(first) - 1
    is_kept = _kept_states(first, labels, end)
    no_sink = np.zeros(n, np.bool_)
    stamp_of = np.zeros(n, np.int64)
    members = np.empty(n + 2, np.int32)
    seeds = np.empty(n + 1, np.int32)
    head = np.full(n_classes, -1, np.int32)
    entry_target = np.empty(256, np.int32)
    following = np.empty(256, np.int32)
    # Set s has the members pool[begins[s]:begins[s + 1]].
    capacity = 64
    table = np.full((capacity, n_classes), -1, np.int32)
    hashes = np.empty(capacity, np.uint64)
    begins = np.zeros(capacity + 1, np.int64)
    pool = np.empty(4 * n + 64, np.int32)
    slots = np.full(4 * capacity, -1, np.int32)
    sink, count, work, stamp = -1, np.int64(0), 0, np.int64(0)
    # The start is reached from before the first set, by a label of its own.
    here = -1
    while here < count:
        if here >= 0:
            entries, entry_target, following = _link_targets(
                begins[here], begins[here + 1], pool, first, labels, targets,
                head, entry_target, following,
            )  # fmt: skip
            work += entries + begins[here + 1] - begins[here]
        for label in range(n_classes if here >= 0 else 1):
            stamp += 1
            if here < 0:
                seeds[0] = start
                n_seeds = np.int64(1)
            else:
                n_seeds = _take_targets(
                    label, head, entry_target, following, stamp_of, stamp, seeds
                )
                if n_seeds == 0:
                    continue
            stamp += 1
            size, steps = _close(
                seeds, n_seeds, first, labels, targets, is_kept, is_sink, stamp_of, stamp, members
            )
            if size < 0:
                # All sinks accept the same, so that the first stands for any.
                sink = -1 - size if sink < 0 else sink
                seeds[0] = sink
                stamp += 1
                size, steps = _close(
                    seeds,
                    np.int64(1),
                    first,
                    labels,
                    targets,
                    is_kept,
                    no_sink,
                    stamp_of,
                    stamp,
                    members,
                )
            work += steps
            if work > max_work:
                return TOO_MUCH_WORK, table[:0], np.zeros(0, np.bool_)
            if size == 0 and here >= 0:
                continue
            stamp += 1
            digest = _digest(members, size, stamp_of, stamp)
            slot = _place_of(digest, size, slots, hashes, begins, pool, stamp_of, stamp)
            if slots[slot] < 0:
                if count >= max_states:
                    return TOO_MANY_STATES, table[:0], np.zeros(0, np.bool_)
                if count == capacity:
                    capacity *= 2
                    table = taller(table, capacity)
                    hashes = grown(hashes, capacity)
                    begins = grown(begins, capacity + 1)
                    slots = _rehashed(hashes, count)
                    slot = _place_of(digest, size, slots, hashes, begins, pool, stamp_of, stamp)
                begin = begins[count]
                if begin + size > len(pool):
                    pool = grown(pool, 2 * len(pool) + size)
                for i in range(size):
                    pool[begin + i] = members[i]
                begins[count + 1] = begin + size
                hashes[count] = digest
                slots[slot] = count
                count += 1
            if here >= 0:
                table[here, label] = slots[slot]
        here += 1
    accepting = np.zeros(count, np.bool_)
    for state in range(count):
        for i in range(begins[state], begins[state + 1]):
            if pool[i] == end:
                accepting[state] = True
    return OK, table[:count], accepting
