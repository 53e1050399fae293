"""Blocks and masks that are known in this process, found by what they are made of.

The index of blocks int64[S * ENTRY] tells for the automaton that goes on from a state, written down
as a record, where the kept block of its tokens is (kernels.wide_masks); that of masks
int64[S * MASK_ENTRY] tells where a mask with a hash is. Both are compared in full, so that a hash
says nothing but where to look. Arrays that an index has told the addresses of have to stay.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from guided.kernels.compiling import folded, lean, lean_entry
from guided.kernels.handles import byte_block, int_block, opened
from guided.kernels.memo_arrays import ACCEPT, DFA, FIRST, MAX_DEPTH, OFFSET, WIDTH
from guided.kernels.wide_masks import MOST_STATES

#: Numbers of an entry of the index of blocks: hash, address and length of the record, address of
#: the block (0: free).
ENTRY = 4
#: Entries that are looked at from the place of a hash on.
PROBES = 8
#: Numbers of an entry of the index of masks: hash, address (0: free). It has sets of WAYS entries.
MASK_ENTRY = 2
WAYS = 4
#: Bytes of the longest record.
LONGEST_RECORD = 258 + MOST_STATES * 257
#: Blocks of the index that one mask may bring to its grammar.
MOST_FOUND = 4


class Finder(NamedTuple):
    """What it takes to find blocks.

    Attributes:
        index: that of blocks.
        record: uint8[LONGEST_RECORD], room.
        found: int64[1 + 2 * MOST_FOUND], how many were found, then place and entry of each.
    """

    index: Any
    record: Any
    found: Any


@lean
def _write(rules, memo, lex, state, root, out):  # type: ignore[no-untyped-def]
    """Writes the record of `state` of the uncounted terminal `lex`; its length, 0: none."""
    dfa = rules.lexeme[lex, DFA]
    first, offset = rules.dfa[dfa, FIRST], rules.dfa[dfa, OFFSET]
    states = rules.dfa[dfa + 1, FIRST] - first
    width = rules.dfa[dfa, WIDTH]
    if states > MAX_DEPTH:
        return np.int64(0)
    number, found = memo.path[0], memo.path[1]
    for i in range(states):
        number[i] = 0
    out[0], out[1] = root >= 0, width - 1
    for byte in range(256):
        out[2 + byte] = rules.columns[dfa, byte]
    at = np.int64(258)
    number[state], found[0] = 1, state
    count, done = np.int64(1), np.int64(0)
    while done < count:
        row = offset + found[done] * width
        for column in range(width):
            target = np.int64(rules.trans[row + column])
            if target < 0:
                out[at] = 0
            else:
                if number[target] == 0:
                    if count == MOST_STATES:
                        return np.int64(0)
                    found[count] = target
                    count += 1
                    number[target] = count
                out[at] = number[target]
            at += 1
        out[at] = rules.fact[first + found[done], ACCEPT]
        at += 1
        done += 1
    return at


@folded
def _hash(record, length):  # type: ignore[no-untyped-def]
    total = np.uint64(length)
    for i in range(length):
        key = np.uint64(np.uint32(i) * np.uint32(0x9E3779B1) + np.uint32(0x7F4A7C15))
        total += np.uint64(record[i]) * key
    return np.int64((total ^ (total >> np.uint64(23))) >> np.uint64(1))


@folded
def _hash_of_large(rules, dfa, state, root):  # type: ignore[no-untyped-def]
    """A hash of a state of a large automaton; equal automata are told from others in full."""
    total = np.uint64(state * 2 + (root >= 0))
    for byte in range(256):
        total += np.uint64(rules.columns[dfa, byte]) * np.uint64(0x9E3779B1 * byte + 0x7F4A7C15)
    total += np.uint64(rules.dfa[dfa + 1, FIRST] - rules.dfa[dfa, FIRST]) * np.uint64(0x85EBCA6B)
    total *= np.uint64(0x9E3779B97F4A7C15)
    return np.int64((total ^ (total >> np.uint64(29))) >> np.uint64(1))


@lean
def _is_large(rules, dfa, record):  # type: ignore[no-untyped-def]
    """Whether a record, int32[...], is that of a large automaton."""
    first, offset = rules.dfa[dfa, FIRST], rules.dfa[dfa, OFFSET]
    states = rules.dfa[dfa + 1, FIRST] - first
    entries = states * rules.dfa[dfa, WIDTH]
    if len(record) != 256 + states + entries:
        return False
    same = True
    for byte in range(256):
        same &= record[byte] == np.int32(rules.columns[dfa, byte])
    for i in range(states):
        same &= record[256 + i] == rules.fact[first + i, ACCEPT]
    for i in range(entries):
        same &= record[256 + states + i] == rules.trans[offset + i]
    return same


@lean
def _find_large(rules, finder, place, lex, state, root):  # type: ignore[no-untyped-def]
    """As `find_block`, of a large automaton; its record is int32[...], its length written below 0.

    The record: the columns of all bytes, which states accept, the table.
    """
    dfa = rules.lexeme[lex, DFA]
    content = _hash_of_large(rules, dfa, state, root)
    slots = len(finder.index) // ENTRY
    for probe in range(PROBES):
        slot = (content + probe) & (slots - 1)
        entry = finder.index[slot * ENTRY : slot * ENTRY + ENTRY]
        if entry[3] == 0:
            break
        if entry[0] != content or entry[2] >= 0:
            continue
        if _is_large(rules, dfa, int_block(entry[1], -entry[2])):
            return _note(finder, place, slot)
    return np.int64(0)


@folded
def _note(finder, place, slot):  # type: ignore[no-untyped-def]
    """Writes down that the block of an entry is that of a place; its address."""
    found = finder.found
    count = found[0]
    found[1 + 2 * count], found[2 + 2 * count] = place, slot
    found[0] = count + 1
    return np.int64(finder.index[slot * ENTRY + 3])


@lean
def find_block(rules, memo, finder, place, lex, state, root):  # type: ignore[no-untyped-def]
    """The address of the block of a state, noted for its place; 0: it is not known."""
    found = finder.found
    count = found[0]
    for i in range(count):
        if found[1 + 2 * i] == place:
            return np.int64(finder.index[found[2 + 2 * i] * ENTRY + 3])
    if count == MOST_FOUND:
        return np.int64(0)
    length = _write(rules, memo, lex, state, root, finder.record)
    if length == 0:
        return _find_large(rules, finder, place, lex, state, root)
    content = _hash(finder.record, length)
    slots = len(finder.index) // ENTRY
    for probe in range(PROBES):
        slot = (content + probe) & (slots - 1)
        entry = finder.index[slot * ENTRY : slot * ENTRY + ENTRY]
        if entry[3] == 0:
            break
        if entry[0] != content or entry[2] != length:
            continue
        known = byte_block(entry[1], length)
        same = True
        for i in range(length):
            same &= known[i] == finder.record[i]
        if same:
            return _note(finder, place, slot)
    return np.int64(0)


@lean_entry
def write_record(handle, lex, state, root, out):  # type: ignore[no-untyped-def]
    """Writes the record of a state; (its hash, its length, 0: its automaton is large)."""
    rules, memo = opened(handle)
    length = _write(rules, memo, lex, state, root, out)
    if length == 0:
        return _hash_of_large(rules, rules.lexeme[lex, DFA], state, root), length
    return _hash(out, length), length


@lean
def find_mask(index, content, words):  # type: ignore[no-untyped-def]
    """(entry, address) of a mask equal to `words`, whose hash is `content`; -1: it is not known."""
    sets = len(index) // (MASK_ENTRY * WAYS)
    first = (content & (sets - 1)) * WAYS
    for slot in range(first, first + WAYS):
        address = index[slot * MASK_ENTRY + 1]
        if index[slot * MASK_ENTRY] != content or address == 0:
            continue
        known = int_block(address, len(words))
        same = True
        for word in range(len(words)):
            same &= known[word] == words[word]
        if same:
            return np.int64(slot), np.int64(address)
    return np.int64(-1), np.int64(0)
