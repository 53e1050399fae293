"""A place in GBNF text, and the pieces that can be read there."""

from __future__ import annotations

import re

from guided.errors import GrammarError

_SPACE = re.compile(r"(?:[ \t]+|#[^\r\n]*)+")
_SPACE_AND_LINES = re.compile(r"(?:[ \t\r\n]+|#[^\r\n]*)+")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER = re.compile(r"[0-9]+")

_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", **{c: c for c in '\\"[]-'}}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
_LAST_CODE_POINT = 0x10FFFF

#: Numbers above are as good as this one: no grammar may be as large.
MOST = 10**9


class Scanner:
    """A place in a text: `at` counts characters from 0."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def error(self, message: str, at: int | None = None) -> GrammarError:
        """An error that points at `at`, or at the current place."""
        offset = self.at if at is None else at
        line = self.text.count("\n", 0, offset) + 1
        column = offset - self.text.rfind("\n", 0, offset)
        return GrammarError(message, self.text, line, column)

    def peek(self, length: int = 1) -> str:
        """The next characters, fewer at the end."""
        return self.text[self.at : self.at + length]

    def take(self, expected: str) -> bool:
        """Whether `expected` comes next, which is then passed."""
        found = self.text.startswith(expected, self.at)
        self.at += len(expected) * found
        return found

    def found(self) -> str:
        """What stands here, for messages."""
        return repr(self.peek()) if self.peek().strip() else "the end of the line"

    def skip_space(self, *, lines: bool) -> None:
        """Passes white space and comments, with `lines` over the ends of lines."""
        self._take(_SPACE_AND_LINES if lines else _SPACE)

    def name(self) -> str:
        """The name of a rule; empty where none begins."""
        return self._take(_NAME)

    def number(self) -> int | None:
        """A number, None where none begins."""
        digits = self._take(_NUMBER)
        if not digits:
            return None
        return int(digits) if len(digits) < len(str(MOST)) else MOST

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]

    def code_point(self, opened: int) -> int:
        """One character of the literal or class that begins at `opened`, escapes resolved."""
        character = self.peek()
        if not character:
            kind = "literal" if self.text[opened] == '"' else "character class"
            raise self.error(f"the {kind} is not closed", opened)
        self.at += 1
        if character != "\\":
            return ord(character)
        begin = self.at - 1
        letter = self.peek()
        self.at += 1
        if letter in _HEX_DIGITS:
            return self._hexadecimal(begin, _HEX_DIGITS[letter])
        if letter not in _ESCAPES or not letter:
            known = " ".join("\\" + c for c in [*_ESCAPES, *_HEX_DIGITS])
            raise self.error(f"unknown escape {self.text[begin : self.at]!r} ({known})", begin)
        return ord(_ESCAPES[letter])

    def _hexadecimal(self, begin: int, length: int) -> int:
        digits = self.peek(length)
        if not re.fullmatch(f"[0-9A-Fa-f]{{{length}}}", digits):
            raise self.error(f"expected {length} hexadecimal digits", begin)
        self.at += length
        value = int(digits, 16)
        if value > _LAST_CODE_POINT:
            raise self.error(f"there is no character {value:#x}", begin)
        return value
