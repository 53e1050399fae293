"""How strings are written in JSON: the escape transducer, applied to an automaton."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from json.encoder import encode_basestring, encode_basestring_ascii

import numpy as np
from numpy.typing import NDArray

from guided.grammars import automata
from guided.grammars.automata import Dfa
from guided.kernels.automata_quoting import quoted_table

_SHORT = {0x22: b'"', 0x5C: b"\\", 8: b"b", 9: b"t", 10: b"n", 12: b"f", 13: b"r"}


def quoted_word(word: str) -> bytes:
    """The JSON text of a string: raw UTF-8, escapes only where JSON asks for them."""
    try:
        return encode_basestring(word).encode()
    except UnicodeEncodeError:
        return encode_basestring_ascii(word).encode()


def quoted_words(words: Sequence[str]) -> list[bytes]:
    """`quoted_word` of each, which takes less time for many."""
    try:
        # Line ends inside of words are escaped.
        return "\n".join(map(encode_basestring, words)).encode().split(b"\n") if words else []
    except UnicodeEncodeError:
        return list(map(quoted_word, words))


@lru_cache(maxsize=1024)
def quoted(dfa: Dfa) -> Dfa:
    """The JSON texts, quotes included, of the UTF-8 strings in `dfa`.

    Each character has one form, besides that control characters may be written both as `\\n` and as
    `\\u000a`; so two different texts are two different strings wherever there are no controls.
    """
    if dfa.is_empty():
        return dfa
    table, classes, accepting, is_minimal = quoted_table(
        dfa.transitions, dfa.classes, dfa.accepting, _short_escapes()
    )
    return Dfa(table, classes, accepting, is_minimal=is_minimal)


@cache
def _short_escapes() -> NDArray[np.uint8]:
    letters = np.zeros(128, np.uint8)
    for byte, letter in _SHORT.items():
        letters[byte] = letter[0]
    return letters


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
