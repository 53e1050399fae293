"""Facts about automaton states that the parser and the mask walk look up."""

from __future__ import annotations

import numpy as np
from numba import njit

from guided.kernels.compiling import entry, lean
from guided.kernels.memo_arrays import FIRST, OFFSET, WIDTH

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
    with all code points from U+0080 on but LEFT_OUT. Death is propagated backwards, one character
    a round.
    """
    stack = np.empty((_STACK, 3), np.int32)
    for dfa in range(len(columns)):
        width = dfas[dfa, WIDTH]
        first = dfas[dfa, FIRST]
        states = dfas[dfa + 1, FIRST] - first
        offset = dfas[dfa, OFFSET]
        classes = np.zeros((2, 256), np.uint8)
        for byte in range(256):
            for charset in range(2):
                if charsets[charset, byte]:
                    classes[charset, columns[dfa, byte]] = 1
        for charset in range(3):
            for state in range(states):
                survive[first + state, charset] = reach
            ascii_set = min(charset, 1)
            for length in range(reach):
                changed = False
                for state in range(states):
                    if survive[first + state, charset] <= length:
                        continue
                    if not _safe(
                        trans,
                        offset,
                        width,
                        columns[dfa],
                        classes[ascii_set],
                        charset == 2,
                        survive,
                        first,
                        charset,
                        state,
                        length,
                        stack,
                    ):
                        survive[first + state, charset] = length
                        changed = True
                if not changed:
                    break


@lean
def _safe(  # type: ignore[no-untyped-def]
    trans, offset, width, classes, marked, wide, survive, first, charset, state, length, stack
):
    """Whether every character leads to a state that survives `length` more."""
    row = offset + state * width
    for column in range(width):
        if marked[column]:
            target = trans[row + column]
            if target < 0 or survive[first + target, charset] < length:
                return False
    if not wide:
        return True
    # All well-formed sequences of two to four bytes (Unicode, table 3-7).
    top = 0
    checked = np.int64(-1)
    for byte in range(0xC2, 0xF5):
        target = trans[row + classes[byte]]
        if target < 0:
            return False
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
        node = offset + stack[top, 0] * width
        low, high, onward = _continuation(stack[top, 1])
        before = stack[top, 2]
        known = np.int64(-1)
        for byte in range(low, high):
            group = np.int64(classes[byte])
            value = before << 6 | (byte & 0x3F)
            is_special = _begins_left_out(value, onward)
            if (is_special and onward == 0) or (not is_special and group == known):
                continue
            target = trans[node + group]
            if target < 0:
                return False
            if not is_special:
                known = group
            if onward == 0:
                if survive[first + target, charset] < length:
                    return False
            elif top < _STACK:
                stack[top, 0] = target
                stack[top, 1] = onward
                stack[top, 2] = value
                top += 1
            else:
                return False
    return True


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
