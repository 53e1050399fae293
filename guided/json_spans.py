"""Where each value of a JSON text stands."""

from __future__ import annotations

import json
import re

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")


def json_spans(text: str) -> dict[str, tuple[int, int]]:
    """Begin and end, in UTF-8 bytes, of every value of a JSON text by its JSON pointer.

    Values that do not end are left out, so that a text cut short gives what is there. A text that
    is no JSON gives nothing.
    """
    spans = _Scanner(text).scan()
    if text.isascii():
        return spans
    ends = [0]
    for char in text:
        ends.append(ends[-1] + len(char.encode(errors="surrogatepass")))
    return {pointer: (ends[begin], ends[end]) for pointer, (begin, end) in spans.items()}


class _Scanner:
    """Walks the text once; an explicit stack, so that depth does not matter."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.spans: dict[str, tuple[int, int]] = {}
        #: (pointer, begin, next index or None for objects) of the containers that are open
        self.open: list[tuple[str, int, int | None]] = []

    def scan(self) -> dict[str, tuple[int, int]]:
        pointer: str | None = ""
        while pointer is not None:
            pointer = self._value(pointer)
        return self.spans

    def _skip(self) -> str:
        """The next character that is no white space, "" at the end."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.text[self.at : self.at + 1]

    def _value(self, pointer: str) -> str | None:
        """Reads a value, or the beginning of a container; the pointer of the next value."""
        char = self._skip()
        begin = self.at
        if char and char in "[{":
            self.at += 1
            self.open.append((pointer, begin, 0 if char == "[" else None))
            return self._first()
        found = (_STRING if char == '"' else _SCALAR).match(self.text, begin)
        if found is None:
            return None
        self.at = found.end()
        self.spans[pointer] = (begin, self.at)
        return self._next()

    def _first(self) -> str | None:
        if self._skip() in ("]", "}"):
            return self._close()
        return self._child()

    def _close(self) -> str | None:
        pointer, begin, _ = self.open.pop()
        self.at += 1
        self.spans[pointer] = (begin, self.at)
        return self._next()

    def _next(self) -> str | None:
        """The pointer of the value after a comma; closes containers on the way."""
        while self.open:
            char = self._skip()
            if char == ",":
                self.at += 1
                return self._child()
            if char not in ("]", "}") or not char:
                return None
            pointer, begin, _ = self.open.pop()
            self.at += 1
            self.spans[pointer] = (begin, self.at)
        return None

    def _child(self) -> str | None:
        pointer, begin, index = self.open[-1]
        if index is not None:
            self.open[-1] = (pointer, begin, index + 1)
            return f"{pointer}/{index}"
        self._skip()
        found = _STRING.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        if self._skip() != ":":
            return None
        self.at += 1
        return f"{pointer}/{_escaped(found.group())}"


def _escaped(literal: str) -> str:
    """A key, given as a JSON string literal, as a reference token of a JSON pointer."""
    try:
        key: str = json.loads(literal, strict=False)
    except ValueError:
        key = literal[1:-1]
    return key.replace("~", "~0").replace("/", "~1")
