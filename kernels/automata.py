"""The minimal and canonical form of partial deterministic byte automata.

A table is int32 [states, classes] with -1 for "no such transition"; `classes` maps each byte to a
column; state 0 is the start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.kernels.compiling import entry, inner, lean

Array = NDArray[Any]

OK, TOO_MANY_STATES, TOO_MUCH_WORK, FOUND = 0, 1, 2, 3


@lean
def _mark(
    elements: Array,
    location: Array,
    block_of: Array,
    first: Array,
    marked: Array,
    touched: Array,
    n_touched: int,
    element: int,
) -> int:
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


@lean
def _split(
    elements: Array,
    block_of: Array,
    first: Array,
    past: Array,
    marked: Array,
    touched: Array,
    n_touched: int,
    n_blocks: int,
) -> int:
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


@inner
def _equivalence(
    tails: Array, labels: Array, heads: Array, n_states: int, accepting: Array
) -> tuple[Array, int]:
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
    n_touched = np.int64(0)
    for state in range(n_states):
        if accepting[state]:
            n_touched = _mark(states, where, block_of, first, marked, touched, n_touched, state)
    n_blocks = np.int64(1)
    n_blocks = _split(states, block_of, first, past, marked, touched, n_touched, n_blocks)
    if n_edges == 0:
        return block_of, n_blocks

    edges = np.arange(n_edges).astype(np.int32)
    edge_where = edges.copy()
    cord_of = np.zeros(n_edges, np.int32)
    cord_first = np.zeros(n_edges + 1, np.int32)
    cord_past = np.zeros(n_edges + 1, np.int32)
    cord_marked = np.zeros(n_edges + 1, np.int32)
    n_cords = np.int64(0)
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
        n_touched = np.int64(0)
        for i in range(cord_first[cord], cord_past[cord]):
            n_touched = _mark(
                states,
                where,
                block_of,
                first,
                marked,
                touched,
                n_touched,
                np.int64(tails[edges[i]]),
            )
        n_blocks = _split(states, block_of, first, past, marked, touched, n_touched, n_blocks)
        cord += 1
        while block < n_blocks:
            n_touched = np.int64(0)
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
                        np.int64(incoming[j]),
                    )
            n_cords = _split(
                edges, cord_of, cord_first, cord_past, cord_marked, touched, n_touched, n_cords
            )
            block += 1
    return block_of, n_blocks


@entry
def _distances(table: Array, accepting: Array) -> Array:
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


@entry
def _live(table: Array, distance: Array) -> tuple[Array, int]:
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


@entry
def _quotient(
    table: Array, accepting: Array, number: Array, n_live: int
) -> tuple[Array, Array, int]:
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


@entry
def _merge_columns(table: Array, classes: Array) -> tuple[Array, Array, int]:
    """Byte classes merged where the columns are equal, numbered by their first byte.

    Returns the class of each byte, the column that each class stands for, and their number.
    """
    n, k = table.shape
    hashes = np.zeros(k, np.uint64)
    for state in range(n):
        for column in range(k):
            hashes[column] = (
                hashes[column] * np.uint64(0x9E3779B97F4A7C15) + np.uint64(table[state, column] + 1)
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


@entry
def _number_breadth_first(
    table: Array, columns: Array, n_columns: int, accepting: Array, start: int
) -> tuple[Array, Array]:
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


def canonicalise(
    table: Array, classes: Array, accepting: Array, is_minimal: bool
) -> tuple[Array, Array, Array, Array]:
    """The canonical form of a language: (table, classes, accepting, distance).

    Trimmed, minimal, byte classes as coarse as possible and in order of their first byte, states
    in breadth-first order. The empty language has one state that does not accept. `is_minimal`
    promises that the automaton is trimmed and minimal already.
    """
    # Called from Python one after the other: see `automata_nfa.compile_program`.
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


@inner
def taller(table: Array, n_rows: int) -> Array:
    """A copy of int32 [n, k] with more rows, full of -1."""
    larger = np.full((n_rows, table.shape[1]), -1, np.int32)
    for row in range(len(table)):
        for column in range(table.shape[1]):
            larger[row, column] = table[row, column]
    return larger


@inner
def grown(array: Array, size: int) -> Array:
    larger = np.empty(size, array.dtype)
    # An assignment of slices would bring code for the text of its error message.
    for i in range(len(array)):
        larger[i] = array[i]
    return larger
