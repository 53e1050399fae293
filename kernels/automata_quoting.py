"""The escapes of JSON strings, applied to an automaton."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry, inner, lean

QUOTE, BACKSLASH, FIRST_PLAIN = 0x22, 0x5C, 0x20
# States after the backslash of a character: the first of them, then (for controls) those after u,
# after one and two zeros, and before the last digit of 000x and of 001x.
_SLASH, _U, _ZERO, _ZEROS, _LOW, _HIGH = range(6)


@inner
def _escaped(table, classes):  # type: ignore[no-untyped-def]
    """For each state, whether a control character leads on, and whether any escape is needed."""
    n = len(table)
    controls = np.zeros(n, np.bool_)
    escapes = np.zeros(n, np.bool_)
    for state in range(n):
        for byte in range(FIRST_PLAIN):
            controls[state] = controls[state] or table[state, classes[byte]] >= 0
        marks = table[state, classes[QUOTE]] >= 0 or table[state, classes[BACKSLASH]] >= 0
        escapes[state] = controls[state] or marks
    return controls, escapes


@lean
def _split_classes(classes, alone, fine, seen):  # type: ignore[no-untyped-def]
    """Puts every byte that is `alone` into a class of its own, and controls into one together.

    Fills the class of each byte; returns their number. `seen` is int64[513], full of -1.
    """
    count = np.int64(0)
    for byte in range(256):
        kind = np.int64(classes[byte])
        if alone[byte]:
            kind = np.int64(256 + byte)
        elif byte < FIRST_PLAIN:
            kind = np.int64(512)
        if seen[kind] < 0:
            seen[kind] = count
            count += 1
        fine[byte] = seen[kind]
    return count


@lean
def _write_escapes(  # type: ignore[no-untyped-def]
    table,
    classes,
    state,
    controls,
    shorts,
    at,
    out,
    fine,
):
    """The states after a backslash that follows `state`, from `at` on."""
    out[state + 1, fine[BACKSLASH]] = at + _SLASH
    for byte in range(128):
        if shorts[byte] > 0:
            target = table[state, classes[byte]]
            if target >= 0:
                out[at + _SLASH, fine[shorts[byte]]] = target + 1
    if not controls:
        return
    out[at + _SLASH, fine[0x75]] = at + _U
    out[at + _U, fine[0x30]] = at + _ZERO
    out[at + _ZERO, fine[0x30]] = at + _ZEROS
    out[at + _ZEROS, fine[0x30]] = at + _LOW
    out[at + _ZEROS, fine[0x31]] = at + _HIGH
    for byte in range(FIRST_PLAIN):
        target = table[state, classes[byte]]
        if target >= 0:
            row = at + (_LOW if byte < 16 else _HIGH)
            digit = byte % 16
            if digit < 10:
                out[row, fine[0x30 + digit]] = target + 1
            else:
                out[row, fine[0x41 + digit - 10]] = target + 1
                out[row, fine[0x61 + digit - 10]] = target + 1


@entry
def quoted_table(table, classes, accepting, shorts):  # type: ignore[no-untyped-def]
    """The quoted texts of a minimal automaton: (table, classes, accepting, whether it is minimal).

    `shorts` uint8[128] is the letter that stands for a byte after a backslash, 0 without one.
    """
    n = len(table)
    controls, escapes = _escaped(table, classes)
    some_controls, some_escapes = np.any(controls), np.any(escapes)
    alone = np.zeros(256, np.bool_)
    alone[QUOTE] = True
    alone[BACKSLASH] = some_escapes
    for byte in range(128):
        if some_escapes and shorts[byte] > 0:
            alone[shorts[byte]] = True
        alone[byte] = alone[byte] or (some_controls and _spells(byte))
    fine = np.empty(256, np.uint8)
    width = _split_classes(classes, alone, fine, np.full(513, -1, np.int64))
    end = n + 1
    size = end + 1
    for state in range(n):
        size += 6 if controls[state] else 1 if escapes[state] else 0
    out = np.full((size, width), -1, np.int32)
    # State 0 waits for the opening quote; state s becomes s + 1.
    out[0, fine[QUOTE]] = 1
    at = end + 1
    for state in range(n):
        for byte in range(FIRST_PLAIN, 256):
            target = table[state, classes[byte]]
            if target >= 0 and byte != QUOTE and byte != BACKSLASH:
                out[state + 1, fine[byte]] = target + 1
        if accepting[state]:
            out[state + 1, fine[QUOTE]] = end
        if escapes[state]:
            _write_escapes(table, classes, state, controls[state], shorts, at, out, fine)
            at += 6 if controls[state] else 1
    final = np.zeros(size, np.bool_)
    final[end] = True
    return out, fine, final, not some_escapes


@lean
def _spells(byte):  # type: ignore[no-untyped-def]
    """Whether the byte may stand in the number of a control character, or before it."""
    return 0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x46 or 0x61 <= byte <= 0x66 or byte == 0x75
