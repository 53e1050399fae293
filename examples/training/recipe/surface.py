"""From a marked expansion to clean text: articles, capitals, and what each fact became."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from .grammar import CLOSE, MIDDLE, OPEN

_FACT = re.compile(f"{OPEN}(\\w+){MIDDLE}([^{CLOSE}]*){CLOSE}")
_MARK = f"(?:{OPEN}\\w+{MIDDLE})?"
_ARTICLE = re.compile(f"\\b([Aa])/an (?={_MARK}(.))")
_START = re.compile(f"((?:^|[.!?][\"')]*\\s+|\\n\\s*)[\"'(]*)({_MARK})([^\\W\\d_])")
_PRONOUN = re.compile(f"(?<![\\w{MIDDLE}.@-])i(?=$|[ ,']|\\.\\s)")

Json = Any
Span = tuple[int, int]
"""First character and the one after the last."""


class Polished(NamedTuple):
    """Clean text, the values as they stand in it, the surface and the place of each told fact."""

    text: str
    values: dict[str, Json]
    surfaces: dict[str, str]
    spans: dict[str, Span]


def map_strings(value: Json, change: Callable[[str], str]) -> Json:
    """`value` with `change` applied to every string in it (keys stay)."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [map_strings(item, change) for item in value]
    if isinstance(value, dict):
        return {key: map_strings(item, change) for key, item in value.items()}
    return value


def upper_first(text: str) -> str:
    """`text` with a capital first letter."""
    return text[:1].upper() + text[1:]


def _begun(value: Json, surface: str) -> Json:
    """The value of a fact whose `surface` begins a sentence: its first word may have a capital."""
    if isinstance(value, str):
        capital = upper_first(value)
        return capital if surface.startswith(capital) else value
    if isinstance(value, list) and value:
        return [_begun(value[0], surface), *value[1:]]
    if isinstance(value, dict) and "name" in value:
        return value | {"name": _begun(value["name"], surface)}
    return value


def polish(marked: str, values: dict[str, Json]) -> Polished:
    """The text of a marked expansion, without its marks."""
    marked = _PRONOUN.sub("I", _ARTICLE.sub(_article, marked))
    capital: set[str] = set()

    def start(match: re.Match[str]) -> str:
        if match[2]:
            capital.add(match[2][1:-1])
        return match[1] + match[2] + match[3].upper()

    marked = _START.sub(start, marked)
    surfaces = {match[1]: match[2] for match in _FACT.finditer(marked)}
    changed = {k: _begun(v, surfaces[k]) if k in capital else v for k, v in values.items()}
    text = re.sub(r"[ ]+([.,!?;:])", r"\1", re.sub("  +", " ", _FACT.sub(r"\2", marked)))
    text = re.sub(r"\.\.(?!\.)", ".", text)
    text = text.strip()
    told = {k: v for k, v in changed.items() if k in surfaces}
    return Polished(text, told, surfaces, _places(marked, text))


def _places(marked: str, text: str) -> dict[str, Span]:
    """Where each fact of `marked` stands in `text`, which lacks its marks, some spaces and dots."""
    spans: dict[str, Span] = {}
    at = source = 0

    def advance(end: int) -> int:
        nonlocal at, source
        while source < end:
            at += at < len(text) and marked[source] == text[at]
            source += 1
        return at

    for match in _FACT.finditer(marked):
        advance(match.start())
        source = match.start(2)
        spans[match[1]] = (at, advance(match.end(2)))
        source = match.end()
    return spans


def _article(match: re.Match[str]) -> str:
    follows = match.string[match.end() :]
    follows = re.sub(f"^{_MARK}", "", follows)
    vowel = re.match(r"[aeioAEIO]|u[^ns]|8|11\b|18\b", follows) is not None
    return match[1] + ("n " if vowel else " ")
