"""The syntax tree of a regular expression, the same for every dialect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

Ranges = tuple[tuple[int, int], ...]
"""Inclusive ranges of code points, sorted, neither touching nor holding surrogates."""


class Assertion(IntEnum):
    """What an empty match may demand of its place."""

    START = 1
    LINE_START = 2
    END = 3
    END_OR_LAST_NEWLINE = 4
    LINE_END = 5
    WORD_BOUNDARY = 6
    NO_WORD_BOUNDARY = 7


class Node:
    """A regular expression."""

    __slots__ = ()


@dataclass(slots=True)
class Literal(Node):
    """Exactly `text`."""

    text: str


@dataclass(slots=True)
class Chars(Node):
    """Any one code point of `ranges`."""

    ranges: Ranges


@dataclass(slots=True)
class Sequence(Node):
    """All `parts` in order; without parts, the empty string."""

    parts: list[Node]


@dataclass(slots=True)
class Choice(Node):
    """Any one of `parts`."""

    parts: list[Node]


@dataclass(slots=True)
class Repeat(Node):
    """`part` from `least` to `most` times (None: no end)."""

    part: Node
    least: int
    most: int | None


@dataclass(slots=True)
class Mark(Node):
    """The empty string where `assertion` holds; `words` are what counts as word characters."""

    assertion: Assertion
    words: Ranges = ()


@dataclass(slots=True)
class Look(Node):
    """The empty string where what follows begins (or does not) with `part`."""

    part: Node
    negative: bool
    column: int


def sequence(parts: Iterable[Node]) -> Node:
    """`parts` in order, with inner sequences opened and neighbouring literals joined."""
    joined: list[Node] = []
    for part in parts:
        for piece in part.parts if isinstance(part, Sequence) else (part,):
            if isinstance(piece, Literal) and joined and isinstance(joined[-1], Literal):
                joined[-1] = Literal(joined[-1].text + piece.text)
            else:
                joined.append(piece)
    return joined[0] if len(joined) == 1 else Sequence(joined)


def choice(parts: list[Node]) -> Node:
    """Any one of `parts`, with nested choices flattened."""
    if len(parts) == 1:
        return parts[0]
    flat: list[Node] = []
    for part in parts:
        while isinstance(part, Sequence) and len(part.parts) == 1:
            part = part.parts[0]
        flat += part.parts if isinstance(part, Choice) else [part]
    return Choice(flat)


def descendants(node: Node) -> Iterator[Node]:
    """`node` and all nodes below it."""
    yield node
    if isinstance(node, Sequence | Choice):
        for part in node.parts:
            yield from descendants(part)
    elif isinstance(node, Repeat | Look):
        yield from descendants(node.part)


def marks(node: Node) -> Iterator[Mark]:
    """All assertions in `node`."""
    return (found for found in descendants(node) if isinstance(found, Mark))


def looks(node: Node) -> Iterator[Look]:
    """All look-aheads in `node`."""
    return (found for found in descendants(node) if isinstance(found, Look))
