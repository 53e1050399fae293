"""Strings about which readers of `pattern` do not disagree.

The standard means ECMA-262; validators in Python use `re`, which differs on a few characters:
what `\\s`, `\\w` and `\\d` hold beyond ASCII, and what `.` and `$` do at the ends of lines. What
is written satisfies both.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from guided.errors import GrammarTooLargeError
from guided.grammars import automata
from guided.grammars.automata import Dfa
from guided.grammars.json_schema.strings import Atom, InexpressibleError, StringShape, language

# `\s` in one of the two only; ends of lines in ECMA-262 only.
_DISPUTED = (0x1C, 0x1D, 0x1E, 0x1F, 0x85, 0x2028, 0x2029, 0xFEFF)
_LINE_ENDS = (0x0A, 0x0D)
_CLASSES = re.compile(r"\\[wWdDbB]")
# What holds fewer strings where word characters are more.
_OPPOSITES = re.compile(r"\\[WDbB]|\[\^[^\]]*\\[wd]")


@lru_cache(maxsize=2048)
def written(shape: StringShape) -> Dfa:
    """The strings of `shape` that are written, as UTF-8; raises InexpressibleError."""
    dfa = language(shape)
    patterns = [atom for atom in shape.atoms if atom.kind == "pattern"]
    if not patterns or shape.words is not None:
        return dfa
    fails = not all(atom.holds for atom in patterns)
    ascii_only = any(
        _CLASSES.search(str(atom.value)) and (not atom.holds or _OPPOSITES.search(str(atom.value)))
        for atom in patterns
    )
    last = 0x7F if ascii_only else 0x10FFFF
    excluded = _DISPUTED + _LINE_ENDS * fails
    if not _may_hold(dfa, excluded, last):
        return dfa
    try:
        agreed = dfa & _without(excluded, last)
    except GrammarTooLargeError as error:
        raise InexpressibleError(f"the strings need too large an automaton ({error})") from error
    return dfa if agreed.is_empty() else agreed


def joined(shapes: tuple[StringShape, ...]) -> tuple[StringShape, ...]:
    """The same strings as they are written, in fewer sets.

    Sets that lie in others are left out, as far as that is soon known. Sets that only differ in
    their atoms are counted together: a limit multiplies the states of an automaton.
    """
    if len(shapes) < 2:
        return shapes
    shapes = tuple(one for one in shapes if not any(_lies_in(one, other) for other in shapes))
    counted: dict[tuple[int, int | None], list[StringShape]] = {}
    for shape in shapes:
        if shape.words is None and shape.atoms and (shape.least > 1 or shape.most is not None):
            counted.setdefault((shape.least, shape.most), []).append(shape)
    for (least, most), group in counted.items():
        if len(group) > 1:
            kept = _together(_largest(group), least, most)
            shapes = (*kept, *(shape for shape in shapes if shape not in group))
    return shapes


def _largest(group: list[StringShape]) -> dict[StringShape, Dfa]:
    """The sets of one range of lengths that lie in no other, with their strings of any length.

    None are left out where the automata are too large.
    """
    try:
        languages = {shape: written(replace(shape, least=0, most=None)) for shape in group}
        for one in group:
            others = (dfa for shape, dfa in languages.items() if shape is not one)
            if any(automata.contains(other, languages[one]) for other in others):
                del languages[one]
    except (GrammarTooLargeError, InexpressibleError):
        return dict.fromkeys(group, automata.empty())
    return languages


def _together(
    languages: dict[StringShape, Dfa], least: int, most: int | None
) -> tuple[StringShape, ...]:
    """The sets as one where that is not too large, else as they are."""
    try:
        every = Atom("language", automata.union(languages.values()))
        whole = StringShape(None, frozenset({every}), least, most)
        if len(languages) > 1 and not language(whole).is_empty():
            return (whole,)
    except (GrammarTooLargeError, InexpressibleError):
        pass
    return tuple(languages)


def _lies_in(one: StringShape, other: StringShape) -> bool:
    """Whether every string of `one` is plainly in `other`, which asks for less."""
    if one.words is not None or other.words is not None or one == other:
        return False
    longer = other.most is None or (one.most is not None and one.most <= other.most)
    return longer and one.least >= other.least and one.atoms >= other.atoms


def _may_hold(dfa: Dfa, excluded: tuple[int, ...], last: int) -> bool:
    """Whether a byte with which one of the code points begins, or one beyond `last`, is used."""
    first = {chr(point).encode()[0] for point in excluded}
    if last < 0x80:
        first.update(range(0x80, 0x100))
    return bool((dfa.transitions[:, dfa.classes[list(first)]] >= 0).any())


@lru_cache(maxsize=8)
def _without(excluded: tuple[int, ...], last: int) -> Dfa:
    """The strings of code points up to `last` without those excluded."""
    ranges, low = [], 0
    for point in sorted(point for point in excluded if point <= last):
        if low < point:
            ranges.append((low, point - 1))
        low = point + 1
    if low <= last:
        ranges.append((low, last))
    return automata.code_points(ranges).repeat()
