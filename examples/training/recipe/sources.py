"""Where the pieces of an answer stand in its prompt: what a reader copies from where."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from .surface import Span

Json = Any
Path = tuple[str | int, ...]


class Piece(NamedTuple):
    """A part of a JSON text: the key or the value at `path`, without quotes, from `start` on."""

    path: Path
    start: int
    text: str
    is_key: bool


def pieces(value: Json, path: Path = (), at: int = 0) -> Iterator[Piece]:
    """All keys and plain values in `json.dumps(value, ensure_ascii=False)`, in its order."""
    if not isinstance(value, dict | list):
        written = json.dumps(value, ensure_ascii=False)
        quotes = isinstance(value, str)
        yield Piece(path, at + quotes, written[1:-1] if quotes else written, False)
        return
    at += 1
    for inner, item in value.items() if isinstance(value, dict) else enumerate(value):
        here = (*path, inner)
        if isinstance(inner, str):
            key = json.dumps(inner, ensure_ascii=False)
            yield Piece(here, at + 1, key[1:-1], True)
            at += len(key) + 2
        yield from pieces(item, here, at)
        at += len(json.dumps(item, ensure_ascii=False)) + 2


def key_places(described: str, value: Json) -> dict[Path, int]:
    """Where the keys of `value` stand in its field list; items of lists share theirs."""
    places: dict[Path, int] = {}
    at = 0
    for piece in pieces(value):
        path = tuple(part for part in piece.path if isinstance(part, str))
        if piece.is_key and path not in places:
            at = described.find(f"{piece.text} (", at)
            if at < 0:
                return places
            places[path] = at
            at += len(piece.text)
    return places


def value_places(value: Json, text: str, span: Span) -> dict[Path, Span]:
    """Where the plain values of a fact stand in the part of `text` that tells it.

    A value that is told in other words (a number, a truth) has the whole part if it is alone,
    and no place in a list.
    """
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _places_of_objects(value, text, span)
    if isinstance(value, list):
        return _places_of_items(value, text, span)
    return {(): _find(value, text, span) or span}


def _find(value: Json, text: str, span: Span) -> Span | None:
    """The first place of a plain value; a number is not part of a longer one."""
    written = value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, str):
        start = text.find(written, *span)
        return None if start < 0 else (start, start + len(written))
    zero = "0?" if isinstance(value, float) else ""
    number = re.compile(rf"(?<!\d)(?<!\d\.){re.escape(written)}(?={zero}(?!\d|\.\d))")
    found = number.search(text, *span)
    return found and found.span()


def _places_of_items(items: list[Json], text: str, span: Span) -> dict[Path, Span]:
    places: dict[Path, Span] = {}
    at, end = span
    for i, item in enumerate(items):
        if found := _find(item, text, (at, end)):
            places[(i,)] = found
            at = found[1]
    return places


def _places_of_objects(items: list[dict[str, Json]], text: str, span: Span) -> dict[Path, Span]:
    """Names come first; what belongs to each stands before it, or between it and the next."""
    names = _places_of_items([item["name"] for item in items], text, span)
    if len(names) < len(items):
        return {}
    edges = [span[0], *(names[(i,)][1] for i in range(len(items)))]
    starts = [*(names[(i,)][0] for i in range(len(items))), span[1]]
    places: dict[Path, Span] = {}
    for i, item in enumerate(items):
        before, after = (edges[i], starts[i]), (edges[i + 1], starts[i + 1])
        leads = re.search(r"\w", text[span[0] : starts[0]]) is not None
        for key, value in item.items():
            window = before if key == "quantity" and leads else after
            found = names[(i,)] if key == "name" else _find(value, text, window)
            if found:
                places[(i, key)] = found
    return places
