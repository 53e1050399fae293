"""Automata of finite sets: many literals, and sets of code points in UTF-8."""

from __future__ import annotations

import numpy as np

from guided.kernels.automata import Array, taller
from guided.kernels.compiling import entry, inner, lean


@entry
def literal_table(data: Array, ends: Array, max_entries: int) -> tuple[Array, Array, Array]:
    """The minimal automaton of sorted, distinct byte strings: (table, classes, accepting).

    String i is data[ends[i - 1]:ends[i]]. The trie is folded from its leaves, so the time is
    linear in the number of bytes. A table of more than `max_entries` comes back empty.
    """
    size = len(data) + 1
    label = np.zeros(size, np.uint8)
    child = np.full(size, -1, np.int32)
    sibling = np.full(size, -1, np.int32)
    youngest = np.full(size, -1, np.int32)
    final = np.zeros(size, np.bool_)
    longest, begin = 0, 0
    for end in ends:
        longest = max(longest, end - begin)
        begin = end
    path = np.zeros(longest + 1, np.int32)
    count, begin, before, before_end = 1, 0, 0, 0
    for end in ends:
        common = 0
        while (
            begin + common < end
            and before + common < before_end
            and data[begin + common] == data[before + common]
        ):
            common += 1
        for depth in range(common, end - begin):
            parent = path[depth]
            label[count] = data[begin + depth]
            if youngest[parent] < 0:
                child[parent] = count
            else:
                sibling[youngest[parent]] = count
            youngest[parent] = count
            path[depth + 1] = count
            count += 1
        final[path[end - begin]] = True
        before, before_end, begin = begin, end, end

    mask = 1
    while mask < 2 * count:
        mask *= 2
    mask -= 1
    slots = np.full(mask + 1, -1, np.int32)
    same_as = np.empty(count, np.int32)
    number = np.full(count, -1, np.int32)
    n_states = 0
    for node in range(count - 1, -1, -1):
        digest = np.uint64(final[node])
        kid = child[node]
        while kid >= 0:
            mixed = np.uint64(same_as[kid]) * np.uint64(256) + np.uint64(label[kid])
            digest = (digest ^ mixed) * np.uint64(0x9E3779B97F4A7C15)
            digest ^= digest >> np.uint64(32)
            kid = sibling[kid]
        slot = np.int64(digest & np.uint64(mask))
        while slots[slot] >= 0:
            other = slots[slot]
            a, b = child[node], child[other]
            same = final[node] == final[other]
            while same and a >= 0 and b >= 0:
                same = label[a] == label[b] and same_as[a] == same_as[b]
                a, b = sibling[a], sibling[b]
            if same and a < 0 and b < 0:
                break
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = node
            n_states += 1
        same_as[node] = slots[slot]

    classes = np.zeros(256, np.uint8)
    used = np.zeros(256, np.bool_)
    n_used = 0
    for byte in data:
        n_used += not used[byte]
        used[byte] = True
    column = 0 if n_used == 256 else 1
    for byte in range(256):
        if used[byte]:
            classes[byte] = column
            column += 1
    if n_states * max(column, 1) > max_entries:
        return np.empty((0, 1), np.int32), classes, np.zeros(0, np.bool_)
    table = np.full((n_states, max(column, 1)), -1, np.int32)
    accepting = np.zeros(n_states, np.bool_)
    fresh = 0
    # Node 0 is the root, and no other node equals it (or all do, where it is the only one).
    for node in range(count):
        if same_as[node] == node:
            number[node] = fresh
            fresh += 1
    for node in range(count):
        if same_as[node] == node:
            accepting[number[node]] = final[node]
            kid = child[node]
            while kid >= 0:
                table[number[node], classes[label[kid]]] = number[same_as[kid]]
                kid = sibling[kid]
    return table, classes, accepting


@lean
def _intern_row(row: Array, rows: Array, n_rows: int, slots: Array) -> tuple[int, int]:
    """The index of `row` (64 entries) among the first rows, added where it is new."""
    digest = np.uint64(0)
    for target in row:
        digest = (digest ^ np.uint64(target + 1)) * np.uint64(0x9E3779B97F4A7C15)
        digest ^= digest >> np.uint64(32)
    slot = np.int64(digest) & (len(slots) - 1)
    while slots[slot] >= 0:
        same = True
        for i in range(64):
            if rows[slots[slot], i] != row[i]:
                same = False
                break
        if same:
            return slots[slot], n_rows
        slot = (slot + 1) & (len(slots) - 1)
    for i in range(64):
        rows[n_rows, i] = row[i]
    slots[slot] = n_rows
    return n_rows, n_rows + 1


@inner
def _with_room(rows: Array, n_rows: int) -> Array:
    if n_rows == len(rows):
        rows = taller(rows, 2 * n_rows)
    return rows


@entry
def code_point_table(ranges: Array) -> Array:
    """The minimal automaton of one code point in UTF-8: a table over all 256 bytes.

    `ranges` is int64 [n, 2], ends included, without surrogates and within U+0000..U+10FFFF.
    State 1 is the only accepting one. Blocks of 64 code points share their last byte's table,
    blocks of 64 such blocks their last two, and so on; equal blocks are one state.
    """
    words = np.zeros(0x110000 // 64, np.uint64)
    full = ~np.uint64(0)
    for i in range(len(ranges)):
        low, high = ranges[i]
        for block in range(low >> 6, (high >> 6) + 1):
            bits = full
            if block == low >> 6:
                bits &= full << np.uint64(low & 63)
            if block == high >> 6:
                bits &= full >> np.uint64(63 - (high & 63))
            words[block] |= bits
    # States 0 and 1 are the start and the end; `rows` lists the targets of 64 continuation bytes.
    rows = np.full((256, 64), -1, np.int32)
    n_rows = np.int64(2)
    slots = np.full(1 << 16, -1, np.int32)
    row = np.empty(64, np.int32)
    start = np.full(256, -1, np.int32)
    of_block = np.full(len(words), -1, np.int32)
    previous_word, previous_state = np.uint64(0), -1
    for block in range(2, len(words)):
        word = words[block]
        if word != previous_word:
            previous_word, previous_state = word, -1
            if word != np.uint64(0):
                for bit in range(64):
                    row[bit] = 1 if (word >> np.uint64(bit)) & np.uint64(1) else -1
                rows = _with_room(rows, n_rows)
                previous_state, n_rows = _intern_row(row, rows, n_rows, slots)
        of_block[block] = previous_state
    for byte in range(128):
        if (words[byte >> 6] >> np.uint64(byte & 63)) & np.uint64(1):
            start[byte] = 1
    for block in range(2, 32):
        start[0xC0 | block] = of_block[block]
    of_plane = np.full(272, -1, np.int32)
    for group in range(272):
        some = False
        for i in range(64):
            row[i] = of_block[group * 64 + i]
            if group == 0 and i < 32:
                row[i] = -1
            some = some or row[i] >= 0
        if some:
            rows = _with_room(rows, n_rows)
            of_plane[group], n_rows = _intern_row(row, rows, n_rows, slots)
    for group in range(16):
        start[0xE0 | group] = of_plane[group]
    for lead in range(5):
        some = False
        for i in range(64):
            group = lead * 64 + i
            row[i] = of_plane[group] if 16 <= group < 272 else -1
            some = some or row[i] >= 0
        if some:
            rows = _with_room(rows, n_rows)
            start[0xF0 | lead], n_rows = _intern_row(row, rows, n_rows, slots)
    table = np.full((n_rows, 256), -1, np.int32)
    for byte in range(256):
        table[0, byte] = start[byte]
    for state in range(2, n_rows):
        for i in range(64):
            table[state, 0x80 + i] = rows[state, i]
    return table
