"""Where white space may stand in the JSON text that is written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

from guided.errors import InputError
from guided.grammars import automata
from guided.grammars.automata import Dfa
from guided.grammars.ir import Lex

Whitespace = Literal["flexible", "compact", "spaced", "indented", "any"]
LONGEST_RUN = 32
DEEPEST_INDENT = 40


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The punctuation of JSON with the white space around it; there is one object of each.

    `colons` lists the ways of writing the colon, in order, where they are few.
    """

    open_object: Lex
    close_object: Lex
    open_array: Lex
    close_array: Lex
    comma: Lex
    colon: Dfa
    colons: tuple[bytes, ...] | None

    def texts(self, values: Iterable[Any]) -> Iterator[bytes]:
        """JSON values as they are written: with as little space as may be, and as usual."""
        comma, colon = self.comma.dfa.shortest() or b",", self.colon.shortest() or b":"
        ways = {(comma.decode(), colon.decode())}
        if self.comma.dfa.accepts(b", ") and self.colon.accepts(b": "):
            ways.add((", ", ": "))
        encoders = [
            [json.JSONEncoder(ensure_ascii=escaped, separators=way) for escaped in (False, True)]
            for way in sorted(ways)
        ]
        for value in values:
            for plain, ascii_only in encoders:
                try:
                    yield plain.encode(value).encode()
                except UnicodeEncodeError:
                    yield ascii_only.encode(value).encode()


def _space(characters: bytes, most: int) -> Dfa:
    return automata.byte_class(set(characters)).repeat(0, most)


def _around(before: Dfa, text: bytes, after: Dfa, name: str) -> Lex:
    return Lex(before + automata.literal(text) + after, name)


def _make(
    inner: Dfa, before: Dfa, comma: Dfa, colon: Dfa, colons: tuple[bytes, ...] | None
) -> Layout:
    """`inner` stands inside brackets, `before` commas and colons, the others after them."""
    none = automata.epsilon()
    return Layout(
        _around(none, b"{", inner, "{"),
        _around(inner, b"}", none, "}"),
        _around(none, b"[", inner, "["),
        _around(inner, b"]", none, "]"),
        _around(before, b",", comma, ","),
        before + automata.literal(b":") + colon,
        colons,
    )


@lru_cache(maxsize=8)
def layout(whitespace: Whitespace) -> Layout:
    """The layout of that name; raises InputError for any other."""
    none, space, one = automata.epsilon(), automata.literal(b" "), _space(b" ", 1)
    if whitespace == "flexible":
        return _make(one, none, one, one, (b":", b": "))
    if whitespace == "compact":
        return _make(none, none, none, none, (b":",))
    if whitespace == "spaced":
        return _make(none, none, space, space, (b": ",))
    if whitespace == "indented":
        line = automata.literal(b"\n") + _space(b" ", DEEPEST_INDENT)
        return _make(line | none, none, line, space, (b": ",))
    if whitespace == "any":
        run = _space(b" \t\r\n", LONGEST_RUN)
        return _make(run, run, run, run, None)
    known = ", ".join(get_args(Whitespace))
    raise InputError(f"whitespace must be one of {known}, not {whitespace!r}")
