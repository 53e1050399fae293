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

import numpy as np

from guided.kernels.automata import OK, TOO_MANY_STATES, TOO_MUCH_WORK, _grown, kernel

ATOM, LITERAL, EPSILON, NEVER, CONCAT, CHOICE, REPEAT, MARK, TAIL = 0, 1, 2, 3, 4, 5, 6, 7, 8


@kernel
def _refine(program, atom_classes):  # type: ignore[no-untyped-def]
    """The partition of the bytes that no atom and no literal can refine: (classes, count)."""
    classes = np.zeros(256, np.uint8)
    count = 1
    for atom in range(len(atom_classes)):
        k = np.int64(atom_classes[atom].max()) + 1
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
    i = 0
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
    return classes, count


@kernel
def _width(program, i):  # type: ignore[no-untyped-def]
    operation = program[i]
    if operation == LITERAL:
        return 2 + program[i + 1]
    if operation == REPEAT:
        return 3
    if operation == EPSILON or operation == NEVER:
        return 1
    return 2


@kernel
def _measure(program, atom_states, atom_edges, limit):  # type: ignore[no-untyped-def]
    """States and edges of the expanded program; the edges exceed `limit` where it is too large."""
    states = np.zeros(len(program) + 1, np.int64)
    edges = np.zeros(len(program) + 1, np.int64)
    top = 0
    i = 0
    while i < len(program):
        operation = program[i]
        if operation == CONCAT or operation == CHOICE:
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


@kernel
def _place_atom(  # type: ignore[no-untyped-def]
    atom, state, edge, sources, labels, targets, tables, begins, sizes, accepting, atom_classes, firsts
):
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


@kernel
def _expand(  # type: ignore[no-untyped-def]
    program, tables, begins, sizes, accepting, atom_classes, classes, n_classes, n_states, n_edges
):
    """Edges (source, label, target) of the whole program, its start, end and tail state."""
    firsts = np.zeros(n_classes, np.int32)
    for byte in range(255, -1, -1):
        firsts[classes[byte]] = byte
    sources = np.empty(n_edges + 1, np.int32)
    labels = np.empty(n_edges + 1, np.int32)
    targets = np.empty(n_edges + 1, np.int32)
    # Columns of the stack: first state, first edge, start, end.
    stack = np.zeros((len(program) + 1, 4), np.int64)
    top, state, edge, tail = 0, 0, 0, -1
    i = 0
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
                stack[top - 1], program[i + 1], program[i + 2], state, edge, sources, labels, targets
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


@kernel
def _repeat(frame, least, most, state, edge, sources, labels, targets):  # type: ignore[no-untyped-def]
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


@kernel
def _by_source(sources, labels, targets, n_states):  # type: ignore[no-untyped-def]
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


@kernel
def _constrain(  # type: ignore[no-untyped-def]
    first, labels, targets, start, end, tail, table, column_of, marks, n_constraint, limit
):
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
                        pairs = _grown(pairs, 2 * len(pairs))
                    pairs[count - 1] = pair
                    number[pair] = count
                    count += 1
                target = number[pair]
            if edge == len(out_sources):
                out_sources = _grown(out_sources, 2 * edge)
                out_labels = _grown(out_labels, 2 * edge)
                out_targets = _grown(out_targets, 2 * edge)
            out_sources[edge], out_labels[edge], out_targets[edge] = source, label, target
            edge += 1
    is_sink = np.zeros(count, np.bool_)
    for i in range(count - 1):
        is_sink[i + 1] = pairs[i] // n_constraint == tail and marks[pairs[i] % n_constraint, 0] == 2
    return OK, out_sources[:edge], out_labels[:edge], out_targets[:edge], count, is_sink


@kernel
def _close(  # type: ignore[no-untyped-def]
    seeds, n_seeds, first, labels, targets, is_kept, is_sink, stamp_of, stamp, members
):
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


@kernel
def _determinise(first, labels, targets, n_classes, start, end, is_sink, max_states, max_work):  # type: ignore[no-untyped-def]
    """Subset construction: (status, table, accepting)."""
    n = len(first) - 1
    is_kept = np.zeros(n, np.bool_)
    is_kept[end] = True
    for state in range(n):
        for edge in range(first[state], first[state + 1]):
            if labels[edge] >= 0:
                is_kept[state] = True
    stamp_of = np.zeros(n, np.int64)
    stamp = 1
    members = np.empty(n + 2, np.int32)
    capacity = 64
    table = np.full((capacity, n_classes), -1, np.int32)
    hashes = np.empty(capacity, np.uint64)
    begins = np.zeros(capacity + 1, np.int64)
    slots = np.full(4 * capacity, -1, np.int32)
    pool = np.empty(4 * n + 64, np.int32)
    seeds = np.empty(n + 1, np.int32)
    # Targets of the current set by label: linked lists through `following`.
    head = np.full(n_classes, -1, np.int32)
    entry_target = np.empty(256, np.int32)
    following = np.empty(256, np.int32)
    seeds[0] = start
    head_label = -1
    no_sink = np.zeros(n, np.bool_)
    sink = -1
    count, here, work, n_seeds = 0, -1, 0, 1
    while True:
        # One turn closes one set of targets; the very first turn closes the start.
        if here >= 0:
            head_label += 1
            if head_label == n_classes:
                here += 1
                head_label = 0
            if here == count:
                break
            if head_label == 0:
                entries = 0
                for i in range(begins[here], begins[here + 1]):
                    state = pool[i]
                    for edge in range(first[state], first[state + 1]):
                        label = labels[edge]
                        if label >= 0:
                            if entries == len(following):
                                following = _grown(following, 2 * entries)
                                entry_target = _grown(entry_target, 2 * entries)
                            entry_target[entries] = targets[edge]
                            following[entries] = head[label]
                            head[label] = entries
                            entries += 1
                work += entries + begins[here + 1] - begins[here]
            entry = head[head_label]
            if entry < 0:
                continue
            head[head_label] = -1
            stamp += 1
            n_seeds = 0
            while entry >= 0:
                target = entry_target[entry]
                if stamp_of[target] != stamp:
                    stamp_of[target] = stamp
                    seeds[n_seeds] = target
                    n_seeds += 1
                entry = following[entry]
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
                seeds, 1, first, labels, targets, is_kept, no_sink, stamp_of, stamp, members
            )
        work += steps
        if work > max_work:
            return TOO_MUCH_WORK, table[:0], np.zeros(0, np.bool_)
        if size == 0 and here >= 0:
            continue
        # Members are stamped anew, so that equality of sets is a count.
        stamp += 1
        digest = np.uint64(size)
        for i in range(size):
            stamp_of[members[i]] = stamp
            mixed = (np.uint64(members[i]) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
            digest += (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
        slot = np.int64(digest >> np.uint64(33)) & (len(slots) - 1)
        found = -1
        while slots[slot] >= 0:
            other = slots[slot]
            if hashes[other] == digest and begins[other + 1] - begins[other] == size:
                same = True
                for i in range(begins[other], begins[other + 1]):
                    if stamp_of[pool[i]] != stamp:
                        same = False
                        break
                if same:
                    found = other
                    break
            slot = (slot + 1) & (len(slots) - 1)
        if found < 0:
            if count >= max_states:
                return TOO_MANY_STATES, table[:0], np.zeros(0, np.bool_)
            if count == capacity:
                capacity *= 2
                wider = np.full((capacity, n_classes), -1, np.int32)
                wider[:count] = table
                table = wider
                hashes = _grown(hashes, capacity)
                begins = _grown(begins, capacity + 1)
                slots = np.full(4 * capacity, -1, np.int32)
                for state in range(count):
                    place = np.int64(hashes[state] >> np.uint64(33)) & (len(slots) - 1)
                    while slots[place] >= 0:
                        place = (place + 1) & (len(slots) - 1)
                    slots[place] = state
                slot = np.int64(digest >> np.uint64(33)) & (len(slots) - 1)
                while slots[slot] >= 0:
                    slot = (slot + 1) & (len(slots) - 1)
            begin = begins[count]
            if begin + size > len(pool):
                pool = _grown(pool, 2 * len(pool) + size)
            for i in range(size):
                pool[begin + i] = members[i]
            begins[count + 1] = begin + size
            hashes[count] = digest
            slots[slot] = count
            found = count
            count += 1
        if here < 0:
            here, head_label = 0, -1
        else:
            table[here, head_label] = found
    accepting = np.zeros(count, np.bool_)
    for state in range(count):
        for i in range(begins[state], begins[state + 1]):
            if pool[i] == end:
                accepting[state] = True
    return OK, table[:count], accepting


@kernel
def compile_program(  # type: ignore[no-untyped-def]
    program, tables, begins, sizes, accepting, atom_classes, marks, max_states, max_edges, max_work
):
    """The deterministic table of a program: (status, table, classes, accepting).

    `tables` and `accepting` hold the atoms one after the other, atom a from `begins[a]`, with
    `sizes[a]` = (states, classes). `marks` is int32 [constraint states, 1 + marks]: the state of
    the constraint after each mark (-1: it does not hold), and in column 0 whether the text may end
    there (1), goes on freely (2) or neither (0). It has no column where there is no constraint.
    """
    classes, n_classes = _refine(program, atom_classes)
    firsts = np.zeros(n_classes, np.int32)
    for byte in range(255, -1, -1):
        firsts[classes[byte]] = byte
    atom_edges = np.zeros(len(sizes), np.int64)
    for atom in range(len(sizes)):
        for column in range(n_classes):
            local = np.int64(atom_classes[atom, firsts[column]])
            for state in range(sizes[atom, 0]):
                if tables[begins[atom, 0] + state * sizes[atom, 1] + local] >= 0:
                    atom_edges[atom] += 1
        for state in range(sizes[atom, 0]):
            if accepting[begins[atom, 1] + state]:
                atom_edges[atom] += 1
    n_states, n_edges = _measure(program, sizes[:, 0].copy(), atom_edges, max_edges)
    if n_edges > max_edges:
        return TOO_MUCH_WORK, np.zeros((0, 1), np.int32), classes, np.zeros(0, np.bool_)
    sources, labels, targets, start, end, n_states, tail = _expand(
        program, tables, begins, sizes, accepting, atom_classes, classes, n_classes, n_states, n_edges
    )
    first, labels, targets = _by_source(sources, labels, targets, n_states)
    is_sink = np.zeros(n_states, np.bool_)
    if tail >= 0:
        is_sink[tail] = True
    if marks.shape[1]:
        last = len(sizes) - 1
        n, k = sizes[last, 0], sizes[last, 1]
        table = tables[begins[last, 0] : begins[last, 0] + n * k].reshape(n, k)
        column_of = np.empty(n_classes, np.int64)
        for column in range(n_classes):
            column_of[column] = atom_classes[last, firsts[column]]
        status, sources, labels, targets, n_states, is_sink = _constrain(
            first, labels, targets, start, end, tail, table, column_of, marks, n, max_edges
        )
        if status != OK:
            return status, np.zeros((0, 1), np.int32), classes, np.zeros(0, np.bool_)
        start, end = 1, 0
        first, labels, targets = _by_source(sources, labels, targets, n_states)
    status, table, final = _determinise(
        first, labels, targets, n_classes, start, end, is_sink, max_states, max_work
    )
    return status, table, classes, final
