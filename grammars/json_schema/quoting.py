"""How strings are written in JSON: the escape transducer, applied to an automaton."""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import product

import numpy as np

from guided.grammars import automata
from guided.grammars.automata import Dfa

_SHORT = {0x22: b'"', 0x5C: b"\\", 8: b"b", 9: b"t", 10: b"n", 12: b"f", 13: b"r"}


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
    raw = dfa.transitions[:, dfa.classes]
    sources = np.flatnonzero((raw[:, [*range(32), 0x22, 0x5C]] >= 0).any(axis=1))
    n, k = len(raw), len(sources)
    end = n + 1
    # State 0 waits for the opening quote; state s of `dfa` becomes s + 1.
    table = np.full((n + 2 + 6 * k, 256), -1, np.int32)
    moved = np.where(raw >= 0, raw + 1, -1).astype(np.int32)
    table[1:end] = moved
    table[1:end, :32] = -1
    table[1:end, [0x22, 0x5C]] = -1
    table[0, 0x22] = 1
    table[1:end][dfa.accepting, 0x22] = end
    # After the backslash of source i; after `u`, `0`, `0`; after the digit 0 or 1.
    escape, u, u0, u00, low, high = (end + 1 + k * i + np.arange(k, dtype=np.int32) for i in range(6))
    table[sources + 1, 0x5C] = escape
    for byte, letter in _SHORT.items():
        table[escape, letter[0]] = moved[sources, byte]
    table[escape, ord("u")] = u
    for before, digit, after in ((u, "0", u0), (u0, "0", u00), (u00, "0", low), (u00, "1", high)):
        table[before, ord(digit)] = after
    for half, value in product((0, 1), range(16)):
        for digit in {f"{value:x}", f"{value:X}"}:
            table[(low, high)[half], ord(digit)] = moved[sources, 16 * half + value]
    accepting = np.zeros(len(table), np.bool_)
    accepting[end] = True
    return Dfa(table, np.arange(256, dtype=np.uint8), accepting)


@lru_cache(maxsize=1)
def plain_strings() -> Dfa:
    """The JSON texts of all strings in the forms that `quoted` writes."""
    return quoted(automata.utf8())


@lru_cache(maxsize=1024)
def quoted_except(names: frozenset[str]) -> Dfa:
    """The JSON texts of all strings but `names`."""
    if not names:
        return plain_strings()
    simple, odd = [], []
    for name in names:
        (odd if any(char < " " for char in name) else simple).append(name)
    dfa = plain_strings() - automata.literals(map(quoted_word, simple))
    for name in odd:
        dfa = dfa - quoted(automata.literal(name.encode()))
    return dfa
