"""Fronts: what covers the bytes of a text, as values from which several guesses can go on."""

from __future__ import annotations

from typing import TypeAlias

from guided.byte_laws.boundaries import DEAD
from guided.byte_laws.canon import Canon
from guided.byte_laws.cover import Head
from guided.byte_laws.spelling import Range

#: Beginnings of canonical sequences, each with the tokens that cover the bytes after it.
Front: TypeAlias = tuple[tuple[Head, Range], ...]


def advanced(canon: Canon, front: Front, byte: int) -> tuple[Front, list[Head]]:
    """The front after one more byte, and the heads of it whose last token ends with that byte.

    What `Cover.push` does, with the old front left as it was.
    """
    spelling = canon.spelling
    kept: list[tuple[Head, Range]] = []
    new: list[Head] = []
    for head, some in front:
        tokens = spelling.narrowed(some, byte)
        longer = spelling.longer(tokens)
        for token in spelling.ids[tokens.low : longer].tolist():
            state = canon.follow(head.state, head.token, token)
            if state != DEAD:
                new.append(Head(head, token, state, spelling.all))
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
