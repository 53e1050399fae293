"""The open arrays of distinct items, and the items that they have so far."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from guided.grammars.distinct.values import Match, Number, match, value_of

_SPACES = frozenset(b" \t\r\n")
_QUOTE, _ESCAPE, _COMMA, _OPEN, _CLOSE = b'"\\,[]'
_MARK = re.compile(rb'["\\]')
_NUMERIC = frozenset(bytes((byte,)) for byte in b"-0123456789")
_OPENERS, _CLOSERS = frozenset(b"[{"), frozenset(b"]}")

Opens = Callable[[int], bool]
"""Whether an array of distinct items opens with the byte at an index."""


class RepeatedItemError(Exception):
    """An item equals an earlier one of its array."""


class _Level(NamedTuple):
    """An open array: its brackets with those around it, its items, and the last one so far."""

    depth: int
    seen: tuple[Any, ...] = ()
    item: bytes = b""


class Items:
    """What is open after some bytes. Immutable."""

    __slots__ = ("_depth", "_escaped", "_levels", "_matches", "_quoted")

    def __init__(
        self,
        levels: tuple[_Level, ...] = (),
        depth: int = 0,
        quoted: bool = False,
        escaped: bool = False,
    ) -> None:
        self._levels = levels
        self._depth = depth
        self._quoted = quoted
        self._escaped = escaped
        self._matches: tuple[Match, ...] | None = None

    @property
    def are_open(self) -> bool:
        """Whether an array of distinct items is open."""
        return bool(self._levels)

    @property
    def in_string(self) -> bool:
        """Whether a string is open in such an array."""
        return self._quoted

    @property
    def between(self) -> bool:
        """Whether nothing of an item stands there."""
        return bool(self._levels) and not self._levels[-1].item

    @property
    def key(self) -> tuple[object, ...]:
        """Equal only where the same may follow."""
        levels = tuple((level.depth, repr(level.seen), level.item) for level in self._levels)
        return levels, self._depth, self._quoted, self._escaped

    def is_beyond(self, other: Items) -> bool:
        """Whether an array has opened or closed since `other`, or a next item begun."""
        ours, theirs = self._levels, other._levels
        if len(ours) != len(theirs):
            return True
        return bool(ours) and len(ours[-1].seen) > len(theirs[-1].seen)

    def matches(self, needed: Sequence[Any] = ()) -> tuple[Match, ...]:
        """What the open items may still become equal to: earlier ones, and those that are needed.

        `needed` is the same in all calls.
        """
        if self._matches is None:
            self._matches = tuple(self._found(needed))
        return self._matches

    def _found(self, needed: Sequence[Any]) -> Iterator[Match]:
        for level in self._levels:
            for value in (*level.seen, *needed):
                found = match(level.item, 0, value)
                if found is not None and found.end in (-1, len(level.item)):
                    yield found

    def after(self, data: bytes, opens: Opens) -> Items:
        """What is open after `data`; raises RepeatedItemError."""
        items, index = self, 0
        while index < len(data):
            if items._quoted and not items._escaped:
                end = _text_end(data, index)
                if end > index:
                    items = Items(items._written(data[index:end]), items._depth, True)
                    index = end
                    continue
            byte, here = data[index], index
            if items._levels:
                items = items._step(byte, partial(opens, here))
            elif byte == _OPEN and opens(here):
                items = Items((_Level(1),), 1)
            index += 1
        return items

    def _step(self, byte: int, opens: Callable[[], bool]) -> Items:
        if self._quoted:
            return self._in_string(byte)
        if byte in _SPACES:
            self._check_number()
            return self
        if byte in _CLOSERS:
            return self._closed(byte)
        if byte == _COMMA and self._depth == self._levels[-1].depth:
            return self._next_item()
        levels, depth = self._written(bytes((byte,))), self._depth
        if byte in _OPENERS:
            depth += 1
            if byte == _OPEN and opens():
                levels = (*levels, _Level(depth))
        found = Items(levels, depth, byte == _QUOTE)
        if levels[-1].item in (b"true", b"false", b"null"):
            found._check()
        return found

    def _in_string(self, byte: int) -> Items:
        ends = byte == _QUOTE and not self._escaped
        escaped = byte == _ESCAPE and not self._escaped
        found = Items(self._written(bytes((byte,))), self._depth, not ends, escaped)
        if ends and found._depth == found._levels[-1].depth:
            found._check()
        return found

    def _written(self, more: bytes) -> tuple[_Level, ...]:
        return tuple([_Level(depth, seen, item + more) for depth, seen, item in self._levels])

    def _next_item(self) -> Items:
        self._check_number()
        *outer, last = self._written(b",")
        item = self._levels[-1].item
        seen = (*last.seen, value_of(item))
        return Items((*outer, _Level(last.depth, seen)), self._depth)

    def _closed(self, byte: int) -> Items:
        depth = self._depth
        levels = self._levels
        if byte == _CLOSE and depth == levels[-1].depth:
            self._check_number()
            levels = levels[:-1]
            if not levels:
                return Items()
        found = Items(Items(levels)._written(bytes((byte,))), depth - 1)
        levels = found._levels
        if found._depth == levels[-1].depth:
            found._check()
        return found

    def _check_number(self) -> None:
        """Numbers do not show where they end."""
        level = self._levels[-1]
        is_number = self._depth == level.depth and level.item[:1] in _NUMERIC
        if is_number and Number.of(level.item.decode()) in level.seen:
            raise RepeatedItemError

    def _check(self) -> None:
        """Raises RepeatedItemError where the last item, which is whole, is not new."""
        level = self._levels[-1]
        if level.seen and value_of(level.item) in level.seen:
            raise RepeatedItemError


def _text_end(data: bytes, at: int) -> int:
    """Where the next quote or escape stands at or after `at`; the end where there is none."""
    found = _MARK.search(data, at)
    return len(data) if found is None else found.start()


def _shifted(opens: Opens, by: int, index: int) -> bool:
    return opens(by + index)


def first_repetition(data: bytes, opens: Opens) -> int:
    """The index of the first byte that repeats an item, the length of `data` where none does."""
    try:
        Items().after(data, opens)
    except RepeatedItemError:
        return _first_repetition(data, opens)
    return len(data)


def _first_repetition(data: bytes, opens: Opens) -> int:
    """The same byte by byte, which takes longer, where there is a repetition."""
    items = Items()
    for index in range(len(data)):
        try:
            items = items.after(data[index : index + 1], partial(_shifted, opens, index))
        except RepeatedItemError:
            return index
    return len(data)
