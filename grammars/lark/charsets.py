"""Which code points a parsed piece of a regular expression that consumes one character matches."""

from __future__ import annotations

import re
from functools import lru_cache
from re import _constants as sre
from typing import Any

from guided.grammars.regex.charsets import (
    EVERYTHING,
    negate,
    python_class,
    python_ignoring_case,
    union,
)

CharSet = tuple[tuple[int, int], ...]  # sorted, disjoint, inclusive; surrogates are left out

_CATEGORIES = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}


def char_set(operator: Any, argument: Any, flags: int) -> CharSet:
    """The code points that the item matches under `flags`."""
    if operator is sre.ANY:
        return EVERYTHING if flags & re.DOTALL else negate(((10, 10),))
    if operator is not sre.IN:
        members, negated = [(sre.LITERAL, argument)], operator is sre.NOT_LITERAL
    else:
        negated = argument[0][0] is sre.NEGATE
        members = argument[1:] if negated else argument
    chosen = _members(tuple(members), flags & re.ASCII, bool(flags & re.IGNORECASE))
    return negate(chosen) if negated else chosen


@lru_cache(maxsize=2048)
def _members(members: tuple[Any, ...], flags: int, ignoring_case: bool) -> CharSet:
    categories = [_CATEGORIES[which] for operator, which in members if operator is sre.CATEGORY]
    explicit = union([(_range(*m),) for m in members if m[0] is not sre.CATEGORY])
    if ignoring_case:
        return python_ignoring_case(explicit, "".join(categories), flags)
    return union([explicit, *(python_class(category, flags) for category in categories)])


def _range(operator: Any, argument: Any) -> tuple[int, int]:
    return argument if operator is sre.RANGE else (argument, argument)
