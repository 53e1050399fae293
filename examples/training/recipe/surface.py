"""From a marked expansion to clean text: articles, capitals, and what each fact became."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .grammar import CLOSE, MIDDLE, OPEN

_FACT = re.compile(f"{OPEN}(\\w+){MIDDLE}([^{CLOSE}]*){CLOSE}")
_MARK = f"(?:{OPEN}\\w+{MIDDLE})?"
_ARTICLE = re.compile(f"\\b([Aa])/an (?={_MARK}(.))")
_START = re.compile(f"((?:^|[.!?][\"')]*\\s+|\\n\\s*)[\"'(]*)({_MARK})([^\\W\\d_])")
_PRONOUN = re.compile(f"(?<![\\w{MIDDLE}.@-])i(?=$|[ ,']|\\.\\s)")

Json = Any


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


def _capital_value(value: Json) -> Json:
    """The value of a fact that now begins a sentence: its first word has a capital."""
    if isinstance(value, str):
        return upper_first(value)
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [upper_first(value[0]), *value[1:]]
    return value


def polish(marked: str, values: dict[str, Json]) -> tuple[str, dict[str, Json], dict[str, str]]:
    """Clean text, the values as they stand in it, and the surface of each told fact."""
    marked = _PRONOUN.sub("I", _ARTICLE.sub(_article, marked))
    capital: set[str] = set()

    def start(match: re.Match[str]) -> str:
        if match[2]:
            capital.add(match[2][1:-1])
        return match[1] + match[2] + match[3].upper()

    marked = _START.sub(start, marked)
    surfaces = {match[1]: match[2] for match in _FACT.finditer(marked)}
    changed = {k: _capital_value(v) if k in capital else v for k, v in values.items()}
    text = re.sub(r"[ ]+([.,!?;:])", r"\1", re.sub("  +", " ", _FACT.sub(r"\2", marked)))
    text = re.sub(r"\.\.(?!\.)", ".", text)
    return text.strip(), {k: v for k, v in changed.items() if k in surfaces}, surfaces


def _article(match: re.Match[str]) -> str:
    follows = match.string[match.end() :]
    follows = re.sub(f"^{_MARK}", "", follows)
    vowel = re.match(r"[aeioAEIO]|u[^ns]|8|11\b|18\b", follows) is not None
    return match[1] + ("n " if vowel else " ")
