"""Tables of terminals that are given by words: the words themselves, or all others of a language.

A grammar has many such terminals (keys, constants), each small: all are made in one call, without
an automaton object for each.
"""

from __future__ import annotations

import numpy as np

from guided.kernels.automata import grown
from guided.kernels.compiling import entry, inner, lean
from guided.kernels.memo_arrays import ACCEPT, FAR, FIRST, NEAREST, OFFSET, ONWARD, SURVIVE, WIDTH

# Columns of a trie node. STATE: of the base language, -1 without one. ALIVE: some word goes through
# it. SAFE: no character of a slice leads to a dead node. SAME: the node that stands for all that
# are equal to it. NUMBER: its state.
LABEL, PARENT, CHILD, SIBLING, FINAL, STATE, ALIVE, SAFE, SAME, NUMBER = range(10)


@lean
def _fill_trie(data, ends, first, past, begin, node):  # type: ignore[no-untyped-def]
    """The trie of words `first` to `past`, which are sorted; returns the number of nodes.

    Word i is data[ends[i - 1]:ends[i]], the first one begins at `begin`. Children have higher
    numbers than their parents. The empty word is left out: rules take care of it.
    """
    node[0, CHILD] = -1
    node[0, FINAL] = 0
    count = np.int64(1)
    last = np.int64(0)
    depth = np.int64(0)
    before = np.int64(begin)
    for word in range(first, past):
        end = np.int64(ends[word])
        common = np.int64(0)
        while (
            common < depth
            and begin + common < end
            and (data[begin + common] == data[before + common])
        ):
            common += 1
        for _ in range(depth - common):
            last = np.int64(node[last, PARENT])
        for at in range(begin + common, end):
            node[count, LABEL] = data[at]
            node[count, PARENT] = last
            node[count, CHILD] = -1
            node[count, SIBLING] = node[last, CHILD]
            node[count, FINAL] = 0
            node[last, CHILD] = count
            last = count
            count += 1
        if last > 0:
            node[last, FINAL] = 1
        depth = end - begin
        before = begin
        begin = end
    return count


@lean
def _follow_base(count, base, base_classes, base_fact, ways, node):  # type: ignore[no-untyped-def]
    """Fills STATE, ALIVE and SAFE of all nodes; `ways` counts the bytes that lead on in the base.

    The words of the trie are not words of what is made, but what begins like them may be.
    """
    node[0, STATE] = 0
    for i in range(1, count):
        over = node[node[i, PARENT], STATE]
        node[i, STATE] = -1 if over < 0 else base[over, base_classes[node[i, LABEL]]]
    for i in range(count - 1, -1, -1):
        state = node[i, STATE]
        alive = state >= 0 and base_fact[state, ACCEPT] != 0 and node[i, FINAL] == 0
        others = np.int64(ways[state]) if state >= 0 else np.int64(0)
        safe = True
        kid = node[i, CHILD]
        while kid >= 0:
            if node[kid, STATE] >= 0:
                others -= 1
            alive = alive or node[kid, ALIVE] != 0
            byte = node[kid, LABEL]
            if byte != 0x22 and byte != 0x5C:
                safe = safe and node[kid, ALIVE] != 0 and node[kid, SAFE] != 0
            kid = node[kid, SIBLING]
        node[i, ALIVE] = alive or others > 0
        node[i, SAFE] = safe


@lean
def _fold(count, slots, node):  # type: ignore[no-untyped-def]
    """Fills SAME and NUMBER: equal live nodes become one state; returns the number of states."""
    mask = np.int64(1)
    while mask < 2 * count:
        mask *= 2
    mask -= 1
    for free in range(mask + 1):
        slots[free] = -1
    for i in range(count - 1, -1, -1):
        if node[i, ALIVE] == 0:
            node[i, SAME] = -1
            continue
        digest = np.uint64(node[i, FINAL] + 2 * (node[i, STATE] + 1))
        kid = node[i, CHILD]
        while kid >= 0:
            mixed = np.uint64((node[kid, SAME] + 1) * 256 + node[kid, LABEL])
            digest = (digest ^ mixed) * np.uint64(0x9E3779B97F4A7C15)
            digest ^= digest >> np.uint64(32)
            kid = node[kid, SIBLING]
        slot = np.int64(digest & np.uint64(mask))
        while slots[slot] >= 0 and not _equal(node, i, np.int64(slots[slot])):
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = i
        node[i, SAME] = slots[slot]
    states = np.int64(0)
    for i in range(count):
        if node[i, SAME] == i:
            node[i, NUMBER] = states
            states += 1
    return states


@lean
def _equal(node, i, j):  # type: ignore[no-untyped-def]
    if node[i, FINAL] != node[j, FINAL] or node[i, STATE] != node[j, STATE]:
        return False
    a = np.int64(node[i, CHILD])
    b = np.int64(node[j, CHILD])
    while a >= 0 and b >= 0:
        if node[a, LABEL] != node[b, LABEL] or node[a, SAME] != node[b, SAME]:
            return False
        a = np.int64(node[a, SIBLING])
        b = np.int64(node[b, SIBLING])
    return a < 0 and b < 0


@inner
def _byte_classes(data, begin, end, coarse, classes):  # type: ignore[no-untyped-def]
    """Makes each byte of data[begin:end] a class, and the others as `coarse` has them.

    Returns the number of classes, and fills the class of each byte.
    """
    seen = np.full(512, -1, np.int64)
    for i in range(begin, end):
        seen[256 + np.int64(data[i])] = 0
    count = np.int64(0)
    for byte in range(256):
        alone = seen[256 + byte] >= 0
        kind = np.int64(256 + byte) if alone else np.int64(coarse[byte])
        if alone or seen[kind] < 0:
            seen[kind] = count
            count += 1
        classes[byte] = seen[kind]
    return count


@lean
def _write_words(  # type: ignore[no-untyped-def]
    count,
    row,
    at,
    width,
    classes,
    node,
    trans,
    fact,
    live,
):
    """The states of words, from `row` and entry `at` on; children come before their parents."""
    for i in range(count - 1, -1, -1):
        if node[i, SAME] != i:
            continue
        state = np.int64(node[i, NUMBER])
        nearest = np.int64(0 if node[i, FINAL] else FAR)
        begin = at + state * width
        for column in range(width):
            trans[begin + column] = -1
        kid = np.int64(node[i, CHILD])
        while kid >= 0:
            byte = np.int64(node[kid, LABEL])
            target = np.int64(node[node[kid, SAME], NUMBER])
            trans[begin + classes[byte]] = target
            nearest = min(nearest, np.int64(fact[row + target, NEAREST]) + 1)
            live[row + state, byte >> 6] |= np.uint64(1) << np.uint64(byte & 63)
            fact[row + state, ONWARD] = 1
            kid = np.int64(node[kid, SIBLING])
        fact[row + state, ACCEPT] = node[i, FINAL]
        fact[row + state, NEAREST] = nearest


@lean
def _write_base(  # type: ignore[no-untyped-def]
    states,
    row,
    at,
    width,
    classes,
    base,
    base_classes,
    base_fact,
    base_live,
    trans,
    fact,
    live,
):
    """The states of the base after the first `states` ones."""
    for state in range(len(base)):
        for word in range(4):
            live[row + states + state, word] = base_live[state, word]
        for column in range(6):
            fact[row + states + state, column] = base_fact[state, column]
        begin = at + (states + state) * width
        for byte in range(256):
            target = base[state, base_classes[byte]]
            trans[begin + classes[byte]] = states + target if target >= 0 else -1


@lean
def _write_others(  # type: ignore[no-untyped-def]
    count,
    states,
    row,
    at,
    width,
    classes,
    node,
    trans,
    fact,
    live,
):
    """The states that are on the way to a word; the states of the base are there already."""
    for i in range(count - 1, -1, -1):
        if node[i, SAME] != i:
            continue
        state = row + np.int64(node[i, NUMBER])
        like = np.int64(states + node[i, STATE])
        begin = at + np.int64(node[i, NUMBER]) * width
        for column in range(width):
            trans[begin + column] = trans[at + like * width + column]
        for word in range(4):
            live[state, word] = live[row + like, word]
        kid = np.int64(node[i, CHILD])
        while kid >= 0:
            byte = np.int64(node[kid, LABEL])
            same = np.int64(node[kid, SAME])
            trans[begin + classes[byte]] = node[same, NUMBER] if same >= 0 else -1
            if same < 0:
                live[state, byte >> 6] &= ~(np.uint64(1) << np.uint64(byte & 63))
            kid = np.int64(node[kid, SIBLING])
        accepts = fact[row + like, ACCEPT] != 0 and node[i, FINAL] == 0
        nearest = np.int64(0 if accepts else FAR)
        onward = np.int64(0)
        for column in range(width):
            target = np.int64(trans[begin + column])
            if target >= 0:
                onward = np.int64(1)
                nearest = min(nearest, np.int64(fact[row + target, NEAREST]) + 1)
        fact[state, ACCEPT] = accepts
        fact[state, NEAREST] = nearest
        fact[state, ONWARD] = onward
        for charset in range(3):
            safe = node[i, SAFE] != 0
            fact[state, SURVIVE + charset] = fact[row + like, SURVIVE + charset] if safe else 0


@inner
def _with_more(array, more):  # type: ignore[no-untyped-def]
    """A copy with more rows, which are zero."""
    wider = np.zeros((len(array) + more, array.shape[1]), array.dtype)
    for i in range(len(array)):
        for j in range(array.shape[1]):
            wider[i, j] = array[i, j]
    return wider


@entry
def add_word_tables(  # type: ignore[no-untyped-def]
    data,
    ends,
    groups,
    is_base,
    base,
    dfa,
    columns,
    trans,
    fact,
    live,
):
    """Pooled automata (see `memo_arrays.Rules`) with those of all groups of words after them.

    Group g is the words groups[g] to groups[g + 1] - 1, sorted and distinct; where is_base[g] is
    set, it stands for all words of automaton number `base` but these. Returns (dfa, columns, trans,
    fact, live). The automata of words are minimal.
    """
    n_groups, n_whole = len(groups) - 1, len(columns)
    first, n_base, begin, wide = np.int64(0), np.int64(0), np.int64(0), np.int64(1)
    kinds = np.zeros(256, np.uint8)
    if base >= 0:
        first, begin, wide = dfa[base, FIRST], dfa[base, OFFSET], dfa[base, WIDTH]
        n_base = dfa[base + 1, FIRST] - first
        kinds = columns[base].copy()
    table = trans[begin : begin + n_base * wide].copy().reshape((n_base, wide))
    ways = np.zeros(n_base, np.int64)
    for state in range(n_base):
        for byte in range(256):
            ways[state] += table[state, kinds[byte]] >= 0
    dfa = _with_more(dfa, n_groups)
    columns = _with_more(columns, n_groups)
    coarse = np.zeros(256, np.uint8)
    longest, rows, entries, begin = np.int64(1), np.int64(0), np.int64(0), np.int64(0)
    for g in range(n_groups):
        end = np.int64(ends[groups[g + 1] - 1]) if groups[g + 1] > 0 else np.int64(0)
        width = _byte_classes(
            data, begin, end, kinds if is_base[g] else coarse, columns[n_whole + g]
        )
        dfa[n_whole + g, WIDTH] = width
        most = end - begin + 1
        longest = max(longest, most)
        most += n_base if is_base[g] else 0
        rows += most
        entries += most * width
        begin = end
    row, at, begin = np.int64(len(fact)), np.int64(len(trans)), np.int64(0)
    fact = _with_more(fact, rows)
    live = _with_more(live, rows)
    trans = grown(trans, at + entries)
    base_fact, base_live = fact[first : first + n_base], live[first : first + n_base]
    node = np.empty((longest, 10), np.int32)
    slots = np.empty(4 * longest, np.int32)
    for g in range(n_groups):
        number = n_whole + g
        width = dfa[number, WIDTH]
        count = _fill_trie(data, ends, groups[g], groups[g + 1], begin, node)
        begin = np.int64(ends[groups[g + 1] - 1]) if groups[g + 1] > 0 else np.int64(0)
        if is_base[g]:
            _follow_base(count, table, kinds, base_fact, ways, node)
            states = _fold(count, slots, node)
            _write_base(
                states, row, at, width, columns[number], table, kinds, base_fact, base_live,
                trans, fact, live,
            )  # fmt: skip
            _write_others(count, states, row, at, width, columns[number], node, trans, fact, live)
            states += n_base
        else:
            for i in range(count):
                node[i, STATE] = -1
                node[i, ALIVE] = 1
            states = _fold(count, slots, node)
            _write_words(count, row, at, width, columns[number], node, trans, fact, live)
        row += states
        at += states * width
        dfa[number + 1, FIRST] = row
        dfa[number + 1, OFFSET] = at
    # What is beyond was never written to: it takes no memory.
    return dfa, columns, trans[:at], fact[:row], live[:row]
