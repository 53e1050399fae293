"""The white space between the tokens of a JSON text, as the text has used it so far."""

from __future__ import annotations

from collections.abc import Hashable

SPACES = frozenset(b" \n\t\r")
_QUOTE, _ESCAPE, _COMMA, _COLON, _NEWLINE = b'"\\,:\n'
_OPENERS, _CLOSERS = frozenset(b"{["), frozenset(b"}]")


class Spacing:
    """Follows a text and tells what white space would go on in its style.

    Until the text shows another one the style is that of `json.dumps`: a space after commas and
    colons. In a text that is no JSON it says something without harm.
    """

    __slots__ = (
        "_after",
        "_comma_seen",
        "_depth",
        "_escaped",
        "_gap",
        "_indent",
        "_last",
        "in_string",
    )

    def __init__(self) -> None:
        self._after = {_COMMA: b" ", _COLON: b" "}
        #: Whether a comma has shown its style; until then it has that of the colon.
        self._comma_seen = False
        #: Spaces of one level where every member has a line of its own, -1 where they share one.
        self._indent = -1
        self._depth = 0
        self._escaped = False
        #: The last byte but white space, outside of strings, and the white space after it.
        self._last = 0
        self._gap = b""
        #: Whether the text stands within a string.
        self.in_string = False

    def copy(self) -> Spacing:
        """A spacing that goes on from here by itself."""
        twin = Spacing()
        for name in Spacing.__slots__:
            setattr(twin, name, getattr(self, name))
        twin._after = dict(self._after)
        return twin

    def after(self, data: bytes) -> Spacing:
        """The spacing once `data` has been read; this one where that makes no difference."""
        if self.in_string and not self._escaped and b'"' not in data and b"\\" not in data:
            return self
        twin = self.copy()
        twin.feed(data)
        return twin

    @property
    def key(self) -> Hashable:
        """Equal only for spacings that say the same of every text to come."""
        depth = self._depth if self._indent >= 0 else 0
        style = (self._comma_seen, *self._after.values(), self._indent, depth)
        return (*style, self.in_string, self._escaped, self._last, self._gap)

    def feed(self, data: bytes) -> None:
        """Reads more of the text."""
        for byte in data:
            if self.in_string:
                self._inside(byte)
            elif byte in SPACES:
                self._gap += bytes([byte])
            else:
                self._learn(byte)
                self._depth += (byte in _OPENERS) - (byte in _CLOSERS)
                self._last, self._gap = byte, b""
                self.in_string = byte == _QUOTE

    def _inside(self, byte: int) -> None:
        if self._escaped:
            self._escaped = False
        elif byte == _ESCAPE:
            self._escaped = True
        elif byte == _QUOTE:
            self.in_string = False

    def _learn(self, byte: int) -> None:
        """Takes the white space before `byte` for the style."""
        if self._last == _COLON:
            self._after[_COLON] = self._gap
            if not self._comma_seen:
                self._after[_COMMA] = self._gap
        elif byte not in _CLOSERS and self._depth > 0:
            if self._gap[:1] == b"\n":
                if self._last == _COMMA or self._last in _OPENERS:
                    self._indent = (len(self._gap) - 1) // self._depth
            elif self._last == _COMMA:
                self._after[_COMMA], self._indent = self._gap, -1
                self._comma_seen = True

    def gap(self, byte: int | None = None) -> bytes:
        """The white space, or the rest of it, before `byte`; None: anything but a closing one."""
        if self.in_string:
            return b""
        wanted = self._wanted(byte is not None and byte in _CLOSERS)
        return wanted[len(self._gap) :] if wanted.startswith(self._gap) else b""

    def _wanted(self, closes: bool) -> bytes:
        line = b"\n" + b" " * (self._indent * self._depth)
        if closes:
            is_empty = self._last in _OPENERS
            return b"" if self._indent < 0 or is_empty else line[: -self._indent or None]
        if self._last == _COLON:
            return self._after[_COLON]
        if self._last == _COMMA:
            return self._after[_COMMA] if self._indent < 0 else line
        return line if self._last in _OPENERS and self._indent >= 0 else b""
