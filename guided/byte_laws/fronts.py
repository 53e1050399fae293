"""Fronts: the token sequences that cover some bytes and may run over their end."""

from __future__ import annotations

from typing import TypeAlias

from guided.byte_laws.boundaries import DEAD
from guided.byte_laws.canon import Canon
from guided.byte_laws.spelling import Range


class Head:
    """A beginning of canonical sequences, all of whose bytes have come.

    Attributes:
        parent: the beginning without the last token; None: this is the first one.
        token: the last token.
        state: of the canon's boundaries.
    """

    __slots__ = ("parent", "state", "token")

    def __init__(self, parent: Head | None, token: int, state: int) -> None:
        self.parent, self.token, self.state = parent, token, state


#: The heads of which a next token can still cover the bytes so far, each with the tokens that begin
#: with the bytes after it; a value from which several guesses can go on. Every canonical sequence
#: that covers the bytes, its last token needed for it, is one of the heads and one token of its
#: range; or it is a head whose bytes are all that have come.
Front: TypeAlias = tuple[tuple[Head, Range], ...]


def begun(canon: Canon, state: int, token: int) -> Front:
    """The front before the first byte, after a beginning of the canon."""
    return ((Head(None, token, state), canon.spelling.all),)


def advanced(canon: Canon, front: Front, byte: int) -> tuple[Front, list[Head]]:
    """The front after one more byte, and the heads of it whose last token ends with that byte."""
    spelling = canon.spelling
    kept: list[tuple[Head, Range]] = []
    new: list[Head] = []
    for head, some in front:
        tokens = spelling.narrowed(some, byte)
        longer = spelling.longer(tokens)
        for token in spelling.ids[tokens.low : longer].tolist():
            state = canon.follow(head.state, head.token, token)
            if state != DEAD:
                new.append(Head(head, token, state))
        if longer < tokens.high:
            kept.append((head, tokens))
    return (*kept, *((head, spelling.all) for head in new)), new


def path(base: Head, head: Head) -> list[Head]:
    """The heads after `base`, one of the beginnings of `head`, up to `head`."""
    found: list[Head] = []
    at: Head | None = head
    while at is not base:
        if at is None:
            raise ValueError("this head does not go back to the base")
        found.append(at)
        at = at.parent
    return found[::-1]


def certain(base: Head, front: Front) -> list[Head]:
    """The heads after `base` that all of a front go back to."""
    paths = [path(base, head) for head, _ in front]
    common = 0
    for step in zip(*paths, strict=False):
        if any(head is not step[0] for head in step):
            break
        common += 1
    return paths[0][:common] if paths else []
