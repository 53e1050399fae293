"""What the parsers of both dialects share: a cursor over the pattern that reports columns."""

from __future__ import annotations

from typing import NoReturn

from guided.errors import RegexError

MAX_DEPTH = 100
"""Groups within groups."""


class Scanner:
    """A cursor over the text of a pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self._depth = 0

    def fail(self, message: str, column: int | None = None) -> NoReturn:
        """Raise a RegexError at `column` (by default where the cursor is)."""
        raise RegexError(message, self.pattern, self.at if column is None else column)

    def peek(self, ahead: int = 0) -> str:
        """The next character, or the empty string at the end."""
        return self.pattern[self.at + ahead : self.at + ahead + 1]

    def take(self) -> str:
        """The next character, passed; the empty string at the end."""
        character = self.pattern[self.at : self.at + 1]
        self.at += 1
        return character

    def accept(self, text: str) -> bool:
        """Whether `text` comes next; if so it is passed."""
        if self.pattern.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def digits(self, allowed: str, most: int) -> str:
        """As many of the `allowed` characters as come next, `most` at the most, passed."""
        begin = self.at
        while self.at - begin < most and self.peek() and self.peek() in allowed:
            self.at += 1
        return self.pattern[begin : self.at]

    def until(self, stop: str, what: str) -> str:
        """The text up to `stop`, which is passed too."""
        begin = self.at
        end = self.pattern.find(stop, begin)
        if end < 0:
            self.fail(f"{what} is not closed by {stop!r}", begin)
        self.at = end + len(stop)
        return self.pattern[begin:end]

    def enter(self, column: int) -> None:
        """Note that a group opens at `column`; too many open groups are refused."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.fail(f"groups nest deeper than {MAX_DEPTH}", column)

    def leave(self) -> None:
        self._depth -= 1

    def quantifier_bounds(self) -> tuple[int, int | None] | None:
        """The bounds of `{m}`, `{m,}`, `{m,n}` or `{,n}` whose brace was passed.

        None (and the cursor is where it was) where no bounds follow.
        """
        begin = self.at
        low = self.digits("0123456789", 20)
        high = self.digits("0123456789", 20) if (comma := self.accept(",")) else low
        if not self.accept("}") or not (low or comma):
            self.at = begin
            return None
        least, most = int(low or 0), int(high) if high else None
        if most is not None and most < least:
            self.fail(f"the bounds of the repetition {{{low},{high}}} are in reverse", begin - 1)
        return least, most
