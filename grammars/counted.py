"""The automaton of a JSON string literal whose length may be counted beside it."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

START, BODY, END = 0, 1, 2
_ESCAPE, _CONT1, _CONT2, _CONT3, _AFTER_E0, _AFTER_ED, _AFTER_F0, _AFTER_F4 = range(3, 11)
_U, _U_D, _HEX3, _HEX2, _HEX1 = range(11, 16)
# A high surrogate escape: two more digits, then \u, then D, then C-F, then two digits.
_HIGH2, _HIGH1, _PAIR, _PAIR_SLASH, _PAIR_U, _PAIR_D, _PAIR_HEX = range(16, 23)
_N_STATES = 23


class StringAutomaton(NamedTuple):
    """Dense tables of the literal: int32[S, 256] with -1 for dead, bool[S], int32[S]."""

    transitions: NDArray[np.int32]
    accepting: NDArray[np.bool_]
    distance: NDArray[np.int32]


@cache
def string_automaton() -> StringAutomaton:
    """A JSON string literal, quotes included (RFC 8259 §7, no lone surrogates).

    State `BODY` is entered once per code point and left on the first byte of the next one, or on
    the closing quote: counting departures counts code points.
    """
    table = np.full((_N_STATES, 256), -1, np.int32)
    table[START, ord('"')] = BODY
    table[BODY, 0x20:0x80] = BODY
    table[BODY, ord('"')] = END
    table[BODY, ord("\\")] = _ESCAPE
    _fill_utf8(table)
    for letter in b'"\\/bfnrt':
        table[_ESCAPE, letter] = BODY
    _fill_unicode_escapes(table)
    accepting = np.zeros(_N_STATES, np.bool_)
    accepting[END] = True
    return StringAutomaton(table, accepting, _distances(table, accepting))


def _fill_utf8(table: NDArray[np.int32]) -> None:
    table[BODY, 0xC2:0xE0] = _CONT1
    table[BODY, 0xE0:0xF0] = _CONT2
    table[BODY, 0xE0] = _AFTER_E0
    table[BODY, 0xED] = _AFTER_ED
    table[BODY, 0xF0:0xF5] = _CONT3
    table[BODY, 0xF0] = _AFTER_F0
    table[BODY, 0xF4] = _AFTER_F4
    table[_CONT1, 0x80:0xC0] = BODY
    table[_CONT2, 0x80:0xC0] = _CONT1
    table[_CONT3, 0x80:0xC0] = _CONT2
    table[_AFTER_E0, 0xA0:0xC0] = _CONT1
    table[_AFTER_ED, 0x80:0xA0] = _CONT1
    table[_AFTER_F0, 0x90:0xC0] = _CONT2
    table[_AFTER_F4, 0x80:0x90] = _CONT2


def _fill_unicode_escapes(table: NDArray[np.int32]) -> None:
    digits = b"0123456789abcdefABCDEF"
    for state, target in ((_U, _HEX3), (_HEX3, _HEX2), (_HEX2, _HEX1), (_HEX1, BODY)):
        for digit in digits:
            table[state, digit] = target
    table[_ESCAPE, ord("u")] = _U
    for digit in b"dD":
        table[_U, digit] = _U_D
        table[_PAIR_U, digit] = _PAIR_D
    for digit in b"01234567":
        table[_U_D, digit] = _HEX2
    for digit in b"89abAB":
        table[_U_D, digit] = _HIGH2
    for digit in b"cdefCDEF":
        table[_PAIR_D, digit] = _PAIR_HEX
    for digit in digits:
        table[_HIGH2, digit] = _HIGH1
        table[_HIGH1, digit] = _PAIR
        table[_PAIR_HEX, digit] = _HEX1
    table[_PAIR, ord("\\")] = _PAIR_SLASH
    table[_PAIR_SLASH, ord("u")] = _PAIR_U


def _distances(table: NDArray[np.int32], accepting: NDArray[np.bool_]) -> NDArray[np.int32]:
    far = 1 << 20
    distance = np.where(accepting, 0, far).astype(np.int32)
    for _ in range(len(table)):
        onward = np.where(table >= 0, distance[table], far).min(axis=1) + 1
        distance = np.minimum(distance, onward).astype(np.int32)
    return distance
