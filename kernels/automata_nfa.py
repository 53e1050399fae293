"""From a postfix program over small automata to one deterministic table.

A program is an int32 sequence of operations on a stack of fragments of a nondeterministic
automaton (Thompson's construction), whose atoms are deterministic byte automata:

    ATOM a            the language of atom a
    LITERAL n b...    the bytes b
    EPSILON, NEVER    the empty string, nothing
    CONCAT n, CHOICE n
    REPEAT least most (-1: no end; most > 0)
    MARK m            no byte, where the constraint automaton allows mark m
    TAIL a            the top of the stack, then atom a any number of times; a set of states that
                      holds the begin of the tail is reduced to it, as it accepts all that follows

The constraint, where there are marks, is the last atom.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from guided.kernels.automata import OK, TOO_MUCH_WORK, Array
from guided.kernels.automata_subsets import constrain, determinise
from guided.kernels.compiling import entry, lean

ATOM, LITERAL, EPSILON, NEVER, CONCAT, CHOICE, REPEAT, MARK, TAIL = 0, 1, 2, 3, 4, 5, 6, 7, 8


@entry
def _refine(program: Array, atom_classes: Array) -> tuple[Array, Array]:
    """The partition of the bytes that no atom and no literal can refine.

    Returns the class of each byte, and the first byte of each class.
    """
    classes = np.zeros(256, np.uint8)
    count = 1
    for atom in range(len(atom_classes)):
        k = np.int64(1)
        for byte in range(256):
            k = max(k, np.int64(atom_classes[atom, byte]) + 1)
        if k == 1:
            continue
        seen = np.full(count * k, -1, np.int32)
        finer = 0
        for byte in range(256):
            pair = np.int64(classes[byte]) * k + np.int64(atom_classes[atom, byte])
            if seen[pair] < 0:
                seen[pair] = finer
                finer += 1
            classes[byte] = seen[pair]
        count = finer
    size = np.zeros(256, np.int32)
    for byte in range(256):
        size[classes[byte]] += 1
    i = np.int64(0)
    while i < len(program):
        if program[i] == LITERAL:
            for j in range(i + 2, i + 2 + program[i + 1]):
                old = classes[program[j]]
                if size[old] > 1:
                    size[old] -= 1
                    size[count] = 1
                    classes[program[j]] = count
                    count += 1
        i += _width(program, i)
    firsts = np.zeros(count, np.int32)
    for byte in range(255, -1, -1):
        firsts[classes[byte]] = byte
    return classes, firsts


@lean
def _width(program: Array, i: int) -> Any:
    operation = program[i]
    if operation == LITERAL:
        return 2 + program[i + 1]
    if operation == REPEAT:
        return 3
    if operation in (EPSILON, NEVER):
        return 1
    return 2


@entry
def _measure(program: Array, atom_states: Array, atom_edges: Array, limit: int) -> tuple[int, int]:
    """States and edges of the expanded program; the edges exceed `limit` where it is too large."""
    states = np.zeros(len(program) + 1, np.int64)
    edges = np.zeros(len(program) + 1, np.int64)
    top = 0
    i = np.int64(0)
    while i < len(program):
        operation = program[i]
        if operation in (CONCAT, CHOICE):
            n = program[i + 1]
            top -= n
            for j in range(top + 1, top + n):
                states[top] += states[j]
                edges[top] += edges[j]
            states[top] += 2
            edges[top] += 2 * n
        elif operation == REPEAT:
            top -= 1
            copies = max(program[i + 1], program[i + 2], 1)
            states[top] = states[top] * copies + 2
            edges[top] = (edges[top] + 2) * copies + 3
        elif operation == TAIL:
            top -= 1
            states[top] += atom_states[program[i + 1]] + 2
            edges[top] += atom_edges[program[i + 1]] + 4
        elif operation == ATOM:
            states[top] = atom_states[program[i + 1]] + 1
            edges[top] = atom_edges[program[i + 1]]
        elif operation == LITERAL:
            states[top] = program[i + 1] + 1
            edges[top] = program[i + 1]
        else:
            states[top] = 2
            edges[top] = 1
        if states[top] + edges[top] > limit:
            return states[top], limit + 1
        top += 1
        i += _width(program, i)
    return states[0], edges[0]


@entry
def _atom_edges(
    tables: Array, begins: Array, sizes: Array, accepting: Array, atom_classes: Array, firsts: Array
) -> Array:
    """The number of edges that each atom expands to."""
    edges = np.zeros(len(sizes), np.int64)
    for atom in range(len(sizes)):
        begin, n, k = begins[atom, 0], sizes[atom, 0], sizes[atom, 1]
        for first in firsts:
            local = np.int64(atom_classes[atom, first])
            for state in range(n):
                if tables[begin + state * k + local] >= 0:
                    edges[atom] += 1
        for state in range(n):
            edges[atom] += accepting[begins[atom, 1] + state]
    return edges


@lean
def _place_atom(
    atom: int,
    state: int,
    edge: int,
    sources: Array,
    labels: Array,
    targets: Array,
    tables: Array,
    begins: Array,
    sizes: Array,
    accepting: Array,
    atom_classes: Array,
    firsts: Array,
) -> tuple[int, int]:
    """Write the edges of an atom; its start is `state` and its end the last of its states."""
    begin, n, k = begins[atom, 0], sizes[atom, 0], sizes[atom, 1]
    for column in range(len(firsts)):
        local = np.int64(atom_classes[atom, firsts[column]])
        for s in range(n):
            target = tables[begin + s * k + local]
            if target >= 0:
                sources[edge] = state + s
                labels[edge] = column
                targets[edge] = state + target
                edge += 1
    for s in range(n):
        if accepting[begins[atom, 1] + s]:
            sources[edge] = state + s
            labels[edge] = -1
            targets[edge] = state + n
            edge += 1
    return state + n + 1, edge


@lean
def _repeat(
    frame: Array,
    least: int,
    most: int,
    state: int,
    edge: int,
    sources: Array,
    labels: Array,
    targets: Array,
) -> tuple[int, int]:
    """Repeat the fragment of `frame` in place, by copies of its states and edges."""
    first, first_edge, start, end = frame[0], frame[1], frame[2], frame[3]
    width, past_edge = state - first, edge
    copies = max(least, most, 1)
    for copy in range(1, copies):
        for e in range(first_edge, past_edge):
            sources[edge] = sources[e] + copy * width
            labels[edge] = labels[e]
            targets[edge] = targets[e] + copy * width
            edge += 1
    state += (copies - 1) * width
    finish = state
    state += 1
    for copy in range(copies):
        junction = end + copy * width
        if copy + 1 < copies:
            sources[edge], labels[edge], targets[edge] = junction, -1, start + (copy + 1) * width
            edge += 1
        if copy + 1 >= least:
            sources[edge], labels[edge], targets[edge] = junction, -1, finish
            edge += 1
    if most < 0:
        last = (copies - 1) * width
        sources[edge], labels[edge], targets[edge] = end + last, -1, start + last
        edge += 1
    frame[3] = finish
    if least == 0:
        sources[edge], labels[edge], targets[edge] = state, -1, start
        sources[edge + 1], labels[edge + 1], targets[edge + 1] = state, -1, finish
        edge += 2
        frame[2] = state
        state += 1
    return state, edge


@entry
def _expand(
    program: Array,
    tables: Array,
    begins: Array,
    sizes: Array,
    accepting: Array,
    atom_classes: Array,
    classes: Array,
    firsts: Array,
    n_edges: int,
) -> tuple[Array, Array, Array, int, int, int, int]:
    """Edges (source, label, target) of the whole program, its start, end and tail state."""
    sources = np.empty(n_edges + 1, np.int32)
    labels = np.empty(n_edges + 1, np.int32)
    targets = np.empty(n_edges + 1, np.int32)
    # Columns of the stack: first state, first edge, start, end.
    stack = np.zeros((len(program) + 1, 4), np.int64)
    state: Any = np.int64(0)
    edge, top, tail = np.int64(0), 0, -1
    i = np.int64(0)
    while i < len(program):
        operation = program[i]
        frame = stack[top]
        if operation == ATOM:
            frame[0], frame[1], frame[2] = state, edge, state
            state, edge = _place_atom(
                program[i + 1], state, edge, sources, labels, targets,
                tables, begins, sizes, accepting, atom_classes, firsts,
            )  # fmt: skip
            frame[3] = state - 1
            top += 1
        elif operation == LITERAL:
            n = program[i + 1]
            frame[0], frame[1], frame[2], frame[3] = state, edge, state, state + n
            for j in range(n):
                sources[edge] = state + j
                labels[edge] = classes[program[i + 2 + j]]
                targets[edge] = state + j + 1
                edge += 1
            state += n + 1
            top += 1
        elif operation == CONCAT:
            n = program[i + 1]
            for j in range(top - n, top - 1):
                sources[edge], labels[edge], targets[edge] = stack[j, 3], -1, stack[j + 1, 2]
                edge += 1
            stack[top - n, 3] = stack[top - 1, 3]
            top += 1 - n
        elif operation == CHOICE:
            n = program[i + 1]
            for j in range(top - n, top):
                sources[edge], labels[edge], targets[edge] = state, -1, stack[j, 2]
                sources[edge + 1], labels[edge + 1], targets[edge + 1] = stack[j, 3], -1, state + 1
                edge += 2
            top -= n
            stack[top, 2], stack[top, 3] = state, state + 1
            state += 2
            top += 1
        elif operation == REPEAT:
            state, edge = _repeat(
                stack[top - 1],
                program[i + 1],
                program[i + 2],
                state,
                edge,
                sources,
                labels,
                targets,
            )
        elif operation == TAIL:
            frame = stack[top - 1]
            tail = state
            sources[edge], labels[edge], targets[edge] = frame[3], -1, tail
            state, edge = _place_atom(
                program[i + 1], state, edge + 1, sources, labels, targets,
                tables, begins, sizes, accepting, atom_classes, firsts,
            )  # fmt: skip
            sources[edge], labels[edge], targets[edge] = state - 1, -1, tail
            edge += 1
            frame[3] = tail
        else:
            frame[0], frame[1], frame[2], frame[3] = state, edge, state, state + 1
            if operation != NEVER:
                sources[edge], targets[edge] = state, state + 1
                labels[edge] = -1 if operation == EPSILON else -2 - program[i + 1]
                edge += 1
            state += 2
            top += 1
        i += _width(program, i)
    return sources[:edge], labels[:edge], targets[:edge], stack[0, 2], stack[0, 3], state, tail


@entry
def _by_source(
    sources: Array, labels: Array, targets: Array, n_states: int
) -> tuple[Array, Array, Array]:
    """The edges in compressed rows by their source."""
    first = np.zeros(n_states + 1, np.int32)
    for source in sources:
        first[source + 1] += 1
    for state in range(n_states):
        first[state + 1] += first[state]
    fill = first.copy()
    row_labels = np.empty(len(sources), np.int32)
    row_targets = np.empty(len(sources), np.int32)
    for edge in range(len(sources)):
        place = fill[sources[edge]]
        fill[sources[edge]] += 1
        row_labels[place] = labels[edge]
        row_targets[place] = targets[edge]
    return first, row_labels, row_targets


def compile_program(
    program: Array,
    tables: Array,
    begins: Array,
    sizes: Array,
    accepting: Array,
    atom_classes: Array,
    marks: Array,
    max_states: int,
    max_edges: int,
    max_work: int,
) -> tuple[int, Array, Array, Array]:
    """The deterministic table of a program: (status, table, classes, accepting).

    `tables` and `accepting` hold the atoms one after the other, atom a from `begins[a]`, with
    `sizes[a]` = (states, classes). `marks` is int32 [constraint states, 1 + marks]: the state of
    the constraint after each mark (-1: it does not hold), and in column 0 whether the text may end
    there (1), goes on freely (2) or neither (0). It has no column where there is no constraint.
    """
    # Called from Python one after the other: a kernel that calls them all would be compiled with
    # another copy of each.
    classes, firsts = _refine(program, atom_classes)
    atom_edges = _atom_edges(tables, begins, sizes, accepting, atom_classes, firsts)
    n_states, n_edges = _measure(program, sizes[:, 0].copy(), atom_edges, max_edges)
    nothing = np.zeros((0, 1), np.int32), classes, np.zeros(0, np.bool_)
    if n_edges > max_edges:
        return TOO_MUCH_WORK, *nothing
    sources, labels, targets, start, end, n_states, tail = _expand(
        program, tables, begins, sizes, accepting, atom_classes, classes, firsts, n_edges
    )
    first, labels, targets = _by_source(sources, labels, targets, n_states)
    is_sink = np.zeros(n_states, np.bool_)
    if tail >= 0:
        is_sink[tail] = True
    if marks.shape[1]:
        n, k = sizes[-1].tolist()
        begin = int(begins[-1, 0])
        table = tables[begin : begin + n * k].reshape(n, k)
        column_of = atom_classes[-1, firsts].astype(np.int64)
        status, sources, labels, targets, n_states, is_sink = constrain(
            first, labels, targets, start, end, tail, table, column_of, marks, n, max_edges
        )
        if status != OK:
            return status, *nothing
        start, end = 1, 0
        first, labels, targets = _by_source(sources, labels, targets, n_states)
    status, table, final = determinise(
        first, labels, targets, len(firsts), start, end, is_sink, max_states, max_work
    )
    return status, table, classes, final
