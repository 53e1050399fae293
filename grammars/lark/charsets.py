"""Which code points a piece of a regular expression that consumes one character matches.

Classes (\\w, \\d, \\s) and case folding are Python's own: `re` itself is asked about them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from re import _constants as sre  # type: ignore[attr-defined]
from typing import Any

CharSet = tuple[tuple[int, int], ...]  # sorted, disjoint, inclusive; surrogates are left out

_EVERYTHING: CharSet = ((0, 0xD7FF), (0xE000, 0x10FFFF))
_NEWLINE: CharSet = ((10, 10),)
_CASE_END = 0x20000  # the planes above hold no character that has a case
_CATEGORIES = {
    sre.CATEGORY_DIGIT: (r"\d", False),
    sre.CATEGORY_NOT_DIGIT: (r"\d", True),
    sre.CATEGORY_SPACE: (r"\s", False),
    sre.CATEGORY_NOT_SPACE: (r"\s", True),
    sre.CATEGORY_WORD: (r"\w", False),
    sre.CATEGORY_NOT_WORD: (r"\w", True),
}


def char_set(operator: Any, argument: Any, flags: int) -> CharSet:
    """The code points that the parsed item matches under `flags`."""
    if operator is sre.ANY:
        return _EVERYTHING if flags & re.DOTALL else difference(_EVERYTHING, _NEWLINE)
    members, negated = _members(operator, argument)
    return _class(tuple(members), negated, int(flags & (re.ASCII | re.IGNORECASE)))


def merged(ranges: Iterable[tuple[int, int]]) -> CharSet:
    """Sorted ranges that neither overlap nor touch."""
    result: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if result and low <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(high, result[-1][1]))
        else:
            result.append((low, high))
    return tuple(result)


def difference(ranges: CharSet, removed: CharSet) -> CharSet:
    """The code points of `ranges` that are not in `removed`."""
    result = []
    for low, high in ranges:
        for first, last in removed[max(0, bisect_left(removed, (low, low)) - 1) :]:
            if first > high:
                break
            if last >= low:
                if low < first:
                    result.append((low, first - 1))
                low = last + 1
        if low <= high:
            result.append((low, high))
    return tuple(result)


def _members(operator: Any, argument: Any) -> tuple[Sequence[Any], bool]:
    if operator is not sre.IN:
        return [(sre.LITERAL, argument)], operator is sre.NOT_LITERAL
    negated = argument[0][0] is sre.NEGATE
    return argument[1:] if negated else argument, negated


@lru_cache(maxsize=4096)
def _class(members: tuple[Any, ...], negated: bool, flags: int) -> CharSet:
    letters = "a" if flags & re.ASCII else ""
    chosen = merged(span for member in members for span in _ranges(*member, letters))
    if flags & re.IGNORECASE:
        # Only characters that have a case can match in another way than without the flag.
        matches = re.compile(f"(?i{letters})[{''.join(map(_text, members))}]").match
        folded = [(ord(c), ord(c)) for c in _cased() if matches(c)]
        chosen = merged([*difference(chosen, _cased_ranges()), *folded])
    return difference(_EVERYTHING, chosen) if negated else _valid(chosen)


def _valid(ranges: CharSet) -> CharSet:
    return difference(ranges, ((0xD800, 0xDFFF),))


def _ranges(operator: Any, argument: Any, letters: str) -> CharSet:
    if operator is sre.CATEGORY:
        category, negated = _CATEGORIES[argument]
        members = _category(category, letters)
        return difference(_EVERYTHING, members) if negated else members
    return (argument,) if operator is sre.RANGE else ((argument, argument),)


def _text(member: Any) -> str:
    operator, argument = member
    if operator is sre.CATEGORY:
        category, negated = _CATEGORIES[argument]
        return category.upper() if negated else category
    low, high = argument if operator is sre.RANGE else (argument, argument)
    return f"\\U{low:08x}-\\U{high:08x}"


@cache
def _category(category: str, letters: str) -> CharSet:
    prefix = f"(?{letters})" if letters else ""
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    found = re.finditer(f"{prefix}{category}+", everything)
    return _valid(merged((ord(m[0][0]), ord(m[0][-1])) for m in found))


@cache
def _cased() -> tuple[str, ...]:
    return tuple(c for c in map(chr, range(_CASE_END)) if c.lower() != c or c.upper() != c)


@cache
def _cased_ranges() -> CharSet:
    return merged((ord(c), ord(c)) for c in _cased())
