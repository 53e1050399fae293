"""How strings are written in JSON: the escape transducer, applied to an automaton."""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from guided.grammars import automata
from guided.grammars.automata import Dfa

_SHORT = {0x22: b'"', 0x5C: b"\\", 8: b"b", 9: b"t", 10: b"n", 12: b"f", 13: b"r"}

_ESCAPE_BYTES = b'"\\bfnrtu0123456789acdeABCDEF'


def quoted_word(word: str) -> bytes:
    """The JSON text of a string: raw UTF-8, escapes only where JSON asks for them."""
    try:
        return json.dumps(word, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(word).encode()


@lru_cache(maxsize=1024)
def quoted(dfa: Dfa) -> Dfa:
    """The JSON texts, quotes included, of the UTF-8 strings in `dfa`.

    Each character has one form, besides that control characters may be written both as `\\n` and as
    `\\u000a`; so two different texts are two different strings wherever there are no controls.
    """
    if dfa.is_empty():
        return dfa
    column, columns = _refined(dfa)
    raw = dfa.transitions[:, dfa.classes[columns]]
    controls = dfa.transitions[:, dfa.classes[:32]]
    marks = raw[:, [column[0x22], column[0x5C]]]
    spelled = np.flatnonzero((controls >= 0).any(axis=1))
    escaped = np.flatnonzero((controls >= 0).any(axis=1) | (marks >= 0).any(axis=1))
    n, e, k = len(raw), len(escaped), len(spelled)
    end = n + 1
    # State 0 waits for the opening quote; state s of `dfa` becomes s + 1.
    table = np.full((n + 2 + e + 5 * k, len(columns)), -1, np.int32)
    table[1:end] = np.where(raw >= 0, raw + 1, -1)
    table[1:end, [column[0], column[0x22], column[0x5C]]] = -1
    table[0, column[0x22]] = 1
    table[1:end][dfa.accepting, column[0x22]] = end
    # One state after the backslash of each source.
    slash = end + 1 + np.arange(e, dtype=np.int32)
    table[escaped + 1, column[0x5C]] = slash
    for byte, letter in _SHORT.items():
        target = dfa.transitions[escaped, dfa.classes[byte]]
        table[slash, column[letter[0]]] = np.where(target >= 0, target + 1, -1)
    # Then, for sources from which a control character leads on: after u, 0, 0, and 0 or 1.
    u, u0, u00, low, high = (end + 1 + e + k * i + np.arange(k, dtype=np.int32) for i in range(5))
    table[slash[np.isin(escaped, spelled)], column[ord("u")]] = u
    for before, digit, after in ((u, "0", u0), (u0, "0", u00), (u00, "0", low), (u00, "1", high)):
        table[before, column[ord(digit)]] = after
    for value in range(32):
        target = controls[spelled, value]
        for digit in {f"{value % 16:x}", f"{value % 16:X}"}:
            inside = low if value < 16 else high
            table[inside, column[ord(digit)]] = np.where(target >= 0, target + 1, -1)
    accepting = np.zeros(len(table), np.bool_)
    accepting[end] = True
    return Dfa(table, column, accepting)


def _refined(dfa: Dfa) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Byte classes in which every byte that an escape uses is alone, and all controls are together.

    Returns the class of each byte, and one byte of each class.
    """
    kinds = dfa.classes.astype(np.int64)
    kinds[list(_ESCAPE_BYTES)] = 256 + np.arange(len(_ESCAPE_BYTES))
    kinds[:32] = 512
    _, columns, classes = np.unique(kinds, return_index=True, return_inverse=True)
    return classes.reshape(-1).astype(np.uint8), columns


@lru_cache(maxsize=1)
def plain_strings() -> Dfa:
    """The JSON texts of all strings in the forms that `quoted` writes."""
    return quoted(automata.utf8())


@lru_cache(maxsize=1024)
def quoted_except(names: frozenset[str]) -> Dfa:
    """The JSON texts of all strings but `names`."""
    if not names:
        return plain_strings()
    odd = [name for name in names if any(char < " " for char in name)]
    simple = names.difference(odd)
    dfa = plain_strings() - automata.literals(map(quoted_word, simple))
    for name in odd:
        dfa = dfa - quoted(automata.literal(name.encode()))
    return dfa
