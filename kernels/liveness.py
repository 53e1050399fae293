"""Facts about automaton states that the parser and the mask walk look up."""

from __future__ import annotations

import numpy as np
from numba import njit

from guided.kernels.compiling import entry, inner, lean
from guided.kernels.memo_arrays import FIRST, OFFSET, WIDTH, grown

#: Beginnings of characters that are followed at a time.
_STACK = 4096
#: Code points that no charset has: where patterns have a dot, it leaves them out.
LEFT_OUT = (0x85, 0x2028, 0x2029, 0xFEFF)


@entry
def fill_live(dfas, columns, trans, live):  # type: ignore[no-untyped-def]
    """Fills `live` uint64[S, 4]: the bytes that lead on from each state."""
    of_class = np.zeros((256, 4), np.uint64)
    for dfa in range(len(columns)):
        width = dfas[dfa, WIDTH]
        first = dfas[dfa, FIRST]
        of_class[:width] = 0
        for byte in range(256):
            of_class[columns[dfa, byte], byte >> 6] |= np.uint64(1) << np.uint64(byte & 63)
        for state in range(dfas[dfa + 1, FIRST] - first):
            row = dfas[dfa, OFFSET] + state * width
            for column in range(width):
                if trans[row + column] >= 0:
                    for word in range(4):
                        live[first + state, word] |= of_class[column, word]


@entry
def fill_survival(dfas, columns, trans, charsets, reach, survive):  # type: ignore[no-untyped-def]
    """Fills `survive` int32[S, 3]: characters that may follow whatever they are, up to `reach`.

    `charsets` uint8[2, 256] marks the single-byte charsets; the third is the second one together
    with all code points from U+0080 on but LEFT_OUT. From the states in which some character is
    death, it is propagated backwards, one character a round.
    """
    stack = np.empty((_STACK, 3), np.int32)
    for dfa in range(len(columns)):
        width = dfas[dfa, WIDTH]
        first = dfas[dfa, FIRST]
        states = np.int64(dfas[dfa + 1, FIRST] - first)
        offset = dfas[dfa, OFFSET]
        table = trans[offset : offset + states * width].reshape((states, width))
        classes = np.zeros((2, 256), np.uint8)
        for byte in range(256):
            for charset in range(2):
                if charsets[charset, byte]:
                    classes[charset, columns[dfa, byte]] = 1
        for charset in range(3):
            _fill_one(
                table,
                columns[dfa],
                classes[min(charset, 1)],
                charset == 2,
                reach,
                survive[first : first + states, charset],
                stack,
            )


@inner
def _fill_one(table, classes, marked, wide, reach, survive, stack):  # type: ignore[no-untyped-def]
    """Fills `survive` int32[S] for one charset."""
    states = len(table)
    # Pairs (state, state after some character of the charset), each once or a few times.
    sources = np.empty(4 * states + 64, np.int32)
    targets = np.empty(4 * states + 64, np.int32)
    stamp = np.full(states, -1, np.int32)
    queue = np.empty(states, np.int32)
    count, end = np.int64(0), np.int64(0)
    for state in range(states):
        survive[state] = reach
        room = len(sources) - count
        if room < states + 64:
            sources, targets = grown(sources), grown(targets)
        found = _after_characters(table, classes, marked, wide, state, stack, stamp, targets, count)
        if found < 0:
            survive[state] = 0
            queue[end] = state
            end += 1
            continue
        for i in range(count, found):
            sources[i] = state
        count = found
    begins = np.zeros(states + 1, np.int64)
    for i in range(count):
        begins[targets[i] + 1] += 1
    for state in range(states):
        begins[state + 1] += begins[state]
    before = np.empty(count, np.int32)
    for i in range(count - 1, -1, -1):
        begins[targets[i] + 1] -= 1
        before[begins[targets[i] + 1]] = sources[i]
    at = np.int64(0)
    while at < end:
        state = queue[at]
        at += 1
        length = survive[state] + 1
        if length >= reach:
            break
        stop = begins[state + 2] if state + 2 <= states else count
        for i in range(begins[state + 1], stop):
            source = before[i]
            if survive[source] > length:
                survive[source] = length
                queue[end] = source
                end += 1


@lean
def _after_characters(  # type: ignore[no-untyped-def]
    table, classes, marked, wide, state, stack, stamp, targets, count
):
    """Writes the states after a character to `targets` from `count` on; returns their end.

    -1 where some character is death. `stamp` tells which are written already.
    """
    for column in range(table.shape[1]):
        if marked[column]:
            target = table[state, column]
            if target < 0:
                return np.int64(-1)
            if stamp[target] != state:
                stamp[target] = state
                targets[count] = target
                count += 1
    if not wide:
        return count
    # All well-formed sequences of two to four bytes (Unicode, table 3-7).
    top = 0
    checked = np.int64(-1)
    for byte in range(0xC2, 0xF5):
        target = table[state, classes[byte]]
        if target < 0:
            return np.int64(-1)
        kind = _lead(byte)
        value = byte & (0x1F if byte < 0xE0 else 0x0F if byte < 0xF0 else 0x07)
        # The first of several that nothing tells apart stands for them.
        look = np.int64(kind) << 8 | classes[byte]
        if not _begins_left_out(value, kind):
            if look == checked:
                continue
            checked = look
        stack[top, 0] = target
        stack[top, 1] = kind
        stack[top, 2] = value
        top += 1
    while top > 0:
        top -= 1
        node = stack[top, 0]
        low, high, onward = _continuation(stack[top, 1])
        before = stack[top, 2]
        # What begins none of them is not looked at byte by byte.
        is_watched = _begins_left_out(before, stack[top, 1])
        known = np.int64(-1)
        for byte in range(low, high):
            group = np.int64(classes[byte])
            value = before << 6 | (byte & 0x3F)
            is_special = is_watched and _begins_left_out(value, onward)
            if (is_special and onward == 0) or (not is_special and group == known):
                continue
            target = table[node, group]
            if target < 0:
                return np.int64(-1)
            if not is_special:
                known = group
            if onward == 0:
                if stamp[target] != state:
                    stamp[target] = state
                    targets[count] = target
                    count += 1
            elif top < _STACK:
                stack[top, 0] = target
                stack[top, 1] = onward
                stack[top, 2] = value
                top += 1
            else:
                return np.int64(-1)
    return count


@lean
def _begins_left_out(value, kind):  # type: ignore[no-untyped-def]
    """Whether the bits so far begin a code point of LEFT_OUT; `kind` tells what must follow."""
    left = 0
    if kind > 0:
        left = 1 if kind == 1 else 3 if kind == 3 or kind >= 6 else 2
    found = False
    for point in LEFT_OUT:
        found |= point >> (6 * left) == value
    return found


@njit(inline="always")
def _lead(byte):  # type: ignore[no-untyped-def]
    """Kind of what must follow a lead byte: 1-3 plain continuations, 4-7 restricted ones."""
    if byte < 0xE0:
        return 1
    if byte == 0xE0:
        return 4
    if byte == 0xED:
        return 5
    if byte < 0xF0:
        return 2
    if byte == 0xF0:
        return 6
    if byte == 0xF4:
        return 7
    return 3


@njit(inline="always")
def _continuation(kind):  # type: ignore[no-untyped-def]
    """(first byte, byte after the last, kind that follows) of a continuation."""
    if kind == 1:
        return 0x80, 0xC0, 0
    if kind == 2:
        return 0x80, 0xC0, 1
    if kind == 3:
        return 0x80, 0xC0, 2
    if kind == 4:
        return 0xA0, 0xC0, 1
    if kind == 5:
        return 0x80, 0xA0, 1
    if kind == 6:
        return 0x90, 0xC0, 2
    return 0x80, 0x90, 2
