"""The token sequences that cover some bytes: all that spell them, and may run over their end."""

from __future__ import annotations

from collections.abc import Iterator

from guided.byte_laws.boundaries import DEAD
from guided.byte_laws.canon import NOTHING, Canon
from guided.byte_laws.spelling import Range


class Head:
    """A beginning of canonical sequences, all of whose bytes have come.

    Attributes:
        parent: the beginning without the last token; None: this is the first one.
        token: the last token.
        state: of the canon's boundaries.
        range: the tokens that begin with the bytes that came after it.
    """

    __slots__ = ("__weakref__", "parent", "range", "state", "token")

    def __init__(self, parent: Head | None, token: int, state: int, tokens: Range) -> None:
        self.parent, self.token, self.state, self.range = parent, token, state, tokens

    def path(self) -> list[Head]:
        """The first head, and all to this one."""
        found: list[Head] = []
        at: Head | None = self
        while at is not None:
            found.append(at)
            at = at.parent
        return found[::-1]


class Cover:
    """The heads of which a next token can still cover the bytes so far.

    Every canonical sequence that covers the bytes, its last token needed for it, is one of the
    heads and one token of its range; or it is a head whose bytes are all that have come.
    """

    def __init__(self, canon: Canon, state: int | None = None, token: int = NOTHING) -> None:
        self.canon = canon
        first = canon.boundaries.start if state is None else state
        self.heads = [Head(None, token, first, canon.spelling.all)]

    def push(self, byte: int) -> list[Head]:
        """Goes on by a byte; the new heads, whose last token ends with it."""
        spelling, kept, new = self.canon.spelling, [], []
        for head in self.heads:
            tokens = head.range = spelling.narrowed(head.range, byte)
            for at in range(tokens.low, spelling.longer(tokens)):
                token = int(spelling.ids[at])
                state = self.canon.follow(head.state, head.token, token)
                if state != DEAD:
                    new.append(Head(head, token, state, spelling.all))
            if spelling.longer(tokens) < tokens.high:
                kept.append(head)
        self.heads = [*kept, *new]
        return new

    def trunk(self) -> Head:
        """The last head that all heads go back to; there must be one."""
        paths = [head.path() for head in self.heads]
        common = 0
        for step in zip(*paths, strict=False):
            if any(head is not step[0] for head in step):
                break
            common += 1
        return paths[0][common - 1]

    def __iter__(self) -> Iterator[Head]:
        return iter(self.heads)
