"""Minimal and canonical form of partial deterministic byte automata, and their products.

A table is int32 [states, classes] with -1 for "no such transition"; `classes` maps each byte to a
column; state 0 is the start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

_F = TypeVar("_F", bound=Callable[..., Any])

kernel = cast(Callable[[_F], _F], njit(cache=True, nogil=True))
"""Compile a function once, keep it on disk, and release the interpreter lock while it runs."""

OK, TOO_MANY_STATES, TOO_MUCH_WORK, FOUND = 0, 1, 2, 3
UNION, INTERSECTION, DIFFERENCE = 0, 1, 2


@kernel
def _mark(elements, location, block_of, first, marked, touched, n_touched, element):  # type: ignore[no-untyped-def]
    block = block_of[element]
    here = location[element]
    there = first[block] + marked[block]
    if here < there:
        return n_touched
    elements[here] = elements[there]
    location[elements[here]] = here
    elements[there] = element
    location[element] = there
    if marked[block] == 0:
        touched[n_touched] = block
        n_touched += 1
    marked[block] += 1
    return n_touched


@kernel
def _split(elements, block_of, first, past, marked, touched, n_touched, n_blocks):  # type: ignore[no-untyped-def]
    while n_touched:
        n_touched -= 1
        block = touched[n_touched]
        middle = first[block] + marked[block]
        if middle == past[block]:
            marked[block] = 0
            continue
        if marked[block] <= past[block] - middle:
            first[n_blocks] = first[block]
            past[n_blocks] = middle
            first[block] = middle
        else:
            past[n_blocks] = past[block]
            first[n_blocks] = middle
            past[block] = middle
        for i in range(first[n_blocks], past[n_blocks]):
            block_of[elements[i]] = n_blocks
        marked[block] = 0
        marked[n_blocks] = 0
        n_blocks += 1
    return n_blocks


@kernel
def _equivalence(tails, labels, heads, n_states, accepting):  # type: ignore[no-untyped-def]
    """The block of each state, and the number of blocks (Valmari 2012, O(transitions log states)).

    The transitions must come sorted by label, and every state must be live.
    """
    n_edges = len(tails)
    size = max(n_states, n_edges) + 1
    marked = np.zeros(size, np.int32)
    touched = np.empty(size, np.int32)
    states = np.arange(n_states).astype(np.int32)
    where = states.copy()
    block_of = np.zeros(n_states, np.int32)
    first = np.zeros(n_states + 1, np.int32)
    past = np.zeros(n_states + 1, np.int32)
    past[0] = n_states
    n_touched = 0
    for state in range(n_states):
        if accepting[state]:
            n_touched = _mark(states, where, block_of, first, marked, touched, n_touched, state)
    n_blocks = _split(states, block_of, first, past, marked, touched, n_touched, 1)
    if n_edges == 0:
        return block_of, n_blocks

    edges = np.arange(n_edges).astype(np.int32)
    edge_where = edges.copy()
    cord_of = np.zeros(n_edges, np.int32)
    cord_first = np.zeros(n_edges + 1, np.int32)
    cord_past = np.zeros(n_edges + 1, np.int32)
    cord_marked = np.zeros(n_edges + 1, np.int32)
    n_cords = 0
    for edge in range(n_edges):
        if edge and labels[edge] != labels[edge - 1]:
            cord_past[n_cords] = edge
            n_cords += 1
            cord_first[n_cords] = edge
        cord_of[edge] = n_cords
    cord_past[n_cords] = n_edges
    n_cords += 1

    incoming_first = np.zeros(n_states + 1, np.int32)
    for edge in range(n_edges):
        incoming_first[heads[edge] + 1] += 1
    for state in range(n_states):
        incoming_first[state + 1] += incoming_first[state]
    fill = incoming_first.copy()
    incoming = np.empty(n_edges, np.int32)
    for edge in range(n_edges):
        incoming[fill[heads[edge]]] = edge
        fill[heads[edge]] += 1

    marked[:] = 0
    block, cord = 1, 0
    while cord < n_cords:
        n_touched = 0
        for i in range(cord_first[cord], cord_past[cord]):
            n_touched = _mark(
                states, where, block_of, first, marked, touched, n_touched, tails[edges[i]]
            )
        n_blocks = _split(states, block_of, first, past, marked, touched, n_touched, n_blocks)
        cord += 1
        while block < n_blocks:
            n_touched = 0
            for i in range(first[block], past[block]):
                state = states[i]
                for j in range(incoming_first[state], incoming_first[state + 1]):
                    n_touched = _mark(
                        edges,
                        edge_where,
                        cord_of,
                        cord_first,
                        cord_marked,
                        touched,
                        n_touched,
                        incoming[j],
                    )
            n_cords = _split(
                edges, cord_of, cord_first, cord_past, cord_marked, touched, n_touched, n_cords
            )
            block += 1
    return block_of, n_blocks


@kernel
def _distances(table, accepting):  # type: ignore[no-untyped-def]
    """Fewest bytes from each state to acceptance, -1 where acceptance is out of reach."""
    n, k = table.shape
    first = np.zeros(n + 1, np.int32)
    for state in range(n):
        for column in range(k):
            if table[state, column] >= 0:
                first[table[state, column] + 1] += 1
    for state in range(n):
        first[state + 1] += first[state]
    fill = first.copy()
    sources = np.empty(first[n], np.int32)
    for state in range(n):
        for column in range(k):
            target = table[state, column]
            if target >= 0:
                sources[fill[target]] = state
                fill[target] += 1
    distance = np.full(n, -1, np.int32)
    queue = np.empty(n, np.int32)
    end = 0
    for state in range(n):
        if accepting[state]:
            distance[state] = 0
            queue[end] = state
            end += 1
    begin = 0
    while begin < end:
        state = queue[begin]
        begin += 1
        for i in range(first[state], first[state + 1]):
            source = sources[i]
            if distance[source] < 0:
                distance[source] = distance[state] + 1
                queue[end] = source
                end += 1
    return distance


@kernel
def _live(table, distance):  # type: ignore[no-untyped-def]
    """Number each state that is reachable and can accept; the others get -1."""
    n, k = table.shape
    number = np.full(n, -1, np.int32)
    if distance[0] < 0:
        return number, 0
    stack = np.empty(n, np.int32)
    stack[0] = 0
    number[0] = 0
    depth, count = 1, 1
    while depth:
        depth -= 1
        state = stack[depth]
        for column in range(k):
            target = table[state, column]
            if target >= 0 and number[target] < 0 and distance[target] >= 0:
                number[target] = count
                count += 1
                stack[depth] = target
                depth += 1
    return number, count


@kernel
def _quotient(table, accepting, number, n_live):  # type: ignore[no-untyped-def]
    """Table and acceptance of the minimal automaton; its start may be any state."""
    n, k = table.shape
    n_edges = 0
    final = np.zeros(n_live, np.bool_)
    for state in range(n):
        if number[state] >= 0:
            final[number[state]] = accepting[state]
            for column in range(k):
                if table[state, column] >= 0 and number[table[state, column]] >= 0:
                    n_edges += 1
    tails = np.empty(n_edges, np.int32)
    labels = np.empty(n_edges, np.int32)
    heads = np.empty(n_edges, np.int32)
    edge = 0
    for column in range(k):
        for state in range(n):
            target = table[state, column]
            if number[state] >= 0 and target >= 0 and number[target] >= 0:
                tails[edge] = number[state]
                labels[edge] = column
                heads[edge] = number[target]
                edge += 1
    block_of, n_blocks = _equivalence(tails, labels, heads, n_live, final)
    small = np.full((n_blocks, k), -1, np.int32)
    ends = np.zeros(n_blocks, np.bool_)
    for edge in range(n_edges):
        small[block_of[tails[edge]], labels[edge]] = block_of[heads[edge]]
    for state in range(n_live):
        ends[block_of[state]] = final[state]
    return small, ends, block_of[0]


@kernel
def _merge_columns(table, classes):  # type: ignore[no-untyped-def]
    """Byte classes merged where the columns are equal, numbered by their first byte.

    Returns the class of each byte, the column that each class stands for, and their number.
    """
    n, k = table.shape
    hashes = np.zeros(k, np.uint64)
    for state in range(n):
        for column in range(k):
            hashes[column] = (
                hashes[column] * np.uint64(0x9E3779B97F4A7C15)
                + np.uint64(table[state, column] + 1)
            ) ^ (hashes[column] >> np.uint64(29))
    merged = np.empty(256, np.uint8)
    columns = np.empty(256, np.int32)
    new_class = np.full(k, -1, np.int32)
    count = 0
    for byte in range(256):
        column = classes[byte]
        if new_class[column] < 0:
            for other in range(count):
                if hashes[columns[other]] == hashes[column]:
                    same = True
                    for state in range(n):
                        if table[state, columns[other]] != table[state, column]:
                            same = False
                            break
                    if same:
                        new_class[column] = other
                        break
            if new_class[column] < 0:
                new_class[column] = count
                columns[count] = column
                count += 1
        merged[byte] = new_class[column]
    return merged, columns, count


@kernel
def _number_breadth_first(table, columns, n_columns, accepting, start):  # type: ignore[no-untyped-def]
    """The same automaton with states in breadth-first order from the start."""
    n = len(accepting)
    number = np.full(n, -1, np.int32)
    order = np.empty(n, np.int32)
    order[0] = start
    number[start] = 0
    end = 1
    canonical = np.full((n, n_columns), -1, np.int32)
    ends = np.zeros(n, np.bool_)
    for here in range(n):
        state = order[here]
        ends[here] = accepting[state]
        for column in range(n_columns):
            target = table[state, columns[column]]
            if target >= 0:
                if number[target] < 0:
                    number[target] = end
                    order[end] = target
                    end += 1
                canonical[here, column] = number[target]
    return canonical, ends


@kernel
def canonicalise(table, classes, accepting, is_minimal):  # type: ignore[no-untyped-def]
    """The canonical form of a language: (table, classes, accepting, distance).

    Trimmed, minimal, byte classes as coarse as possible and in order of their first byte, states
    in breadth-first order. The empty language has one state that does not accept. `is_minimal`
    promises that the automaton is trimmed and minimal already.
    """
    start = 0
    if not is_minimal:
        distance = _distances(table, accepting)
        number, n_live = _live(table, distance)
        if n_live == 0:
            return (
                np.full((1, 1), -1, np.int32),
                np.zeros(256, np.uint8),
                np.zeros(1, np.bool_),
                np.full(1, -1, np.int32),
            )
        table, accepting, start = _quotient(table, accepting, number, n_live)
    merged, columns, count = _merge_columns(table, classes)
    canonical, ends = _number_breadth_first(table, columns, count, accepting, start)
    return canonical, merged, ends, _distances(canonical, ends)


@kernel
def _join_classes(left, right):  # type: ignore[no-untyped-def]
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


@kernel
def _grown(array, size):  # type: ignore[no-untyped-def]
    larger = np.empty(size, array.dtype)
    larger[: len(array)] = array
    return larger


@kernel
def _accepts_pair(left_accepts, right_accepts, operation):  # type: ignore[no-untyped-def]
    if operation == UNION:
        return left_accepts or right_accepts
    if operation == INTERSECTION:
        return left_accepts and right_accepts
    return left_accepts and not right_accepts


@kernel
def product(  # type: ignore[no-untyped-def]
    left, left_classes, left_accepting, right, right_classes, right_accepting, operation, probe, limit
):
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
    count = 1
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
            slot = (np.uint64(pair) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
            slot = np.int64(slot) & (len(slots) - 1)
            while slots[slot] >= 0 and pairs[slots[slot]] != pair:
                slot = (slot + 1) & (len(slots) - 1)
            if slots[slot] < 0:
                if count >= limit:
                    return TOO_MANY_STATES, table[:0], joined, np.zeros(0, np.bool_)
                if count == capacity:
                    capacity *= 2
                    pairs = _grown(pairs, capacity)
                    wider = np.empty((capacity, k), np.int32)
                    wider[:count] = table
                    table = wider
                    slots = np.full(4 * capacity, -1, np.int32)
                    for state in range(count):
                        old = (np.uint64(pairs[state]) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
                        place = np.int64(old) & (len(slots) - 1)
                        while slots[place] >= 0:
                            place = (place + 1) & (len(slots) - 1)
                        slots[place] = state
                    slot = (np.uint64(pair) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
                    slot = np.int64(slot) & (len(slots) - 1)
                    while slots[slot] >= 0:
                        slot = (slot + 1) & (len(slots) - 1)
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


@kernel
def longest(table):  # type: ignore[no-untyped-def]
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


@kernel
def run(table, classes, data, state):  # type: ignore[no-untyped-def]
    """The state after reading `data`, or -1."""
    for byte in data:
        state = table[state, classes[byte]]
        if state < 0:
            return -1
    return state
