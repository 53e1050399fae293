"""Sets of JSON strings: a length range, and patterns, formats and words that hold or fail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from guided.errors import GrammarTooLargeError, RegexError
from guided.grammars import automata
from guided.grammars.automata import Dfa
from guided.grammars.json_schema import formats
from guided.grammars.regex import compile_regex


class InexpressibleError(Exception):
    """A set has no exact form here. The keyword that needs it turns this into a named refusal.

    `keyword` names the keyword, where the place that raises knows it better.
    """

    def __init__(self, reason: str, keyword: str = "") -> None:
        super().__init__(reason)
        self.keyword = keyword


LONG = 4096
"""Strings that have a pattern are no longer where counting up to their limit takes too much."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A named language, or its complement where `holds` is false.

    `kind` is "pattern", "format", "words" or "language"; `value` its text, a sorted tuple of words,
    or the automaton itself.
    """

    kind: str
    value: str | tuple[str, ...] | Dfa
    holds: bool = True

    def negated(self) -> Atom:
        """The complement."""
        return replace(self, holds=not self.holds)

    @property
    def is_narrowed(self) -> bool:
        """Whether the language is known only within two bounds."""
        return self.kind == "format" and self.value in formats.NARROWED

    def positive(self) -> Dfa:
        """What is taken away or kept: where the language is not known, the bound that is safe."""
        if self.is_narrowed and not self.holds:
            return formats.broader_language(str(self.value))
        return _positive(self.kind, self.value)

    def language(self) -> Dfa:
        """Strings that belong to the atom, as UTF-8; all of them unless it is narrowed."""
        return self.positive() if self.holds else automata.complement(self.positive())

    def bound(self) -> Dfa:
        """A language that holds every string of the atom."""
        if not self.is_narrowed:
            return self.language()
        name = str(self.value)
        if self.holds:
            return formats.broader_language(name)
        return automata.complement(formats.format_language(name))

    def admits(self, text: str) -> bool:
        """Whether `text` belongs to the atom; raises InexpressibleError where that is not known."""
        if self.kind == "words":
            return (text in _word_set(self.value)) is self.holds
        try:
            data = text.encode()
        except UnicodeEncodeError:
            raise InexpressibleError("a string holds a lone surrogate") from None
        found = _positive(self.kind, self.value).accepts(data)
        if (
            self.is_narrowed
            and not found
            and formats.broader_language(str(self.value)).accepts(data)
        ):
            raise InexpressibleError(f"whether {text!r} has the format {self.value} is not known")
        return found is self.holds


@lru_cache(maxsize=256)
def _word_set(words: Any) -> frozenset[str]:
    return frozenset(words)


@lru_cache(maxsize=1024)
def _positive(kind: str, value: str | tuple[str, ...] | Dfa) -> Dfa:
    if isinstance(value, Dfa):
        return value
    if kind == "words":
        try:
            return automata.literals([word.encode() for word in value])
        except UnicodeEncodeError:
            raise InexpressibleError("a string holds a lone surrogate") from None
    text = str(value)
    if kind == "format":
        return formats.format_language(text)
    try:
        return compile_regex(text, "ecma")
    except RegexError as error:
        raise InexpressibleError(
            f"the pattern {text!r} is not supported: {error.message}"
        ) from error
    except GrammarTooLargeError as error:
        raise InexpressibleError(f"the pattern {text!r} is too large: {error}") from error


@dataclass(frozen=True, slots=True)
class StringShape:
    """Strings of `least` to `most` code points in every one of `atoms`; or exactly `words`."""

    words: tuple[str, ...] | None = None
    atoms: frozenset[Atom] = frozenset()
    least: int = 0
    most: int | None = None

    def contains(self, text: str) -> bool:
        """Whether `text` belongs to the set."""
        if self.words is not None:
            return text in _word_set(self.words)
        if len(text) < self.least or (self.most is not None and len(text) > self.most):
            return False
        return all(atom.admits(text) for atom in self.atoms)

    @property
    def is_everything(self) -> bool:
        """Whether all strings belong to the set."""
        return self.words is None and not self.atoms and not self.least and self.most is None


ALL_STRINGS = StringShape()


def finite(words: Iterable[str]) -> StringShape:
    """Exactly `words`, in their order."""
    return StringShape(words=tuple(dict.fromkeys(words)))


def meet(a: StringShape, b: StringShape) -> StringShape | None:
    """The strings in both, None where there is plainly none."""
    if a.is_everything:
        return b
    if b.is_everything:
        return a
    if a.words is None and b.words is not None:
        a, b = b, a
    if a.words is not None:
        words = tuple(word for word in a.words if b.contains(word))
        return StringShape(words=words) if words else None
    most = a.most if b.most is None else b.most if a.most is None else min(a.most, b.most)
    least = max(a.least, b.least)
    if most is not None and least > most:
        return None
    atoms = a.atoms | b.atoms
    if any(atom.negated() in atoms for atom in atoms):
        return None
    return StringShape(None, atoms, least, most)


def complement(shape: StringShape) -> list[StringShape]:
    """Sets that together hold exactly the strings not in `shape`."""
    if shape.words is not None:
        return [StringShape(atoms=frozenset({Atom("words", tuple(sorted(shape.words)), False)}))]
    parts = [
        StringShape(atoms=frozenset({atom.negated()})) for atom in sorted(shape.atoms, key=_order)
    ]
    if shape.least:
        parts.append(StringShape(most=shape.least - 1))
    if shape.most is not None:
        parts.append(StringShape(least=shape.most + 1))
    return parts


@lru_cache(maxsize=2048)
def language(shape: StringShape) -> Dfa:
    """The automaton of the set, over UTF-8. Raises InexpressibleError where it would be too large.

    Of sets with formats that are known in part, a part.
    """
    if shape.words is not None:
        return _positive("words", shape.words)
    atoms = sorted(shape.atoms, key=_order)
    dfas = {atom: atom.positive() for atom in atoms}
    most = shape.most
    for atom in atoms:
        short = formats.short_language(str(atom.value)) if atom.kind == "format" else None
        longest = dfas[atom].longest_length()
        if short is None or not atom.holds:
            continue
        if longest is None and (most is not None or shape.least):
            dfas[atom] = short
        elif longest is not None and most is not None and most < longest:
            dfas[atom], most = short, min(most, formats.SHORT)
    try:
        return _within_reach(_product(dfas), shape.least, most)
    except GrammarTooLargeError as error:
        raise InexpressibleError(f"the strings need too large an automaton ({error})") from error


def _order(atom: Atom) -> tuple[bool, str, str]:
    return not atom.holds, atom.kind, str(atom.value)


def _product(dfas: dict[Atom, Dfa]) -> Dfa:
    """The strings in all of the atoms, given the language that each names."""
    found: Dfa | None = None
    for atom, dfa in dfas.items():
        if found is None:
            found = dfa if atom.holds else automata.complement(dfa)
        elif atom.holds:
            found = found & dfa
        elif automata.intersects(found, dfa):
            found = found - dfa
    return automata.utf8() if found is None else found


def _within_reach(dfa: Dfa, least: int, most: int | None) -> Dfa:
    """The words of `dfa` of `least` to `most` code points, or of those that are not very long.

    Raises GrammarTooLargeError.
    """
    try:
        return _within(dfa, least, most)
    except GrammarTooLargeError:
        if most is None or most <= LONG or least > LONG:
            raise
        found = _within(dfa, least, LONG)
        if found.is_empty():
            raise
        return found


def _within(dfa: Dfa, least: int, most: int | None) -> Dfa:
    """The words of `dfa` of `least` to `most` code points."""
    longest = dfa.longest_length()
    if most is not None and longest is not None and longest <= most:
        most = None
    if least == 1:
        least = 0
        if dfa.accepts_empty():
            dfa = dfa - automata.epsilon()
    # A code point has at most four bytes.
    if least and dfa.distance[0] >= 4 * least - 3:
        least = 0
    if not least and most is None:
        return dfa
    return dfa & automata.code_point_count(least, most)


@lru_cache(maxsize=4096)
def is_empty(shape: StringShape) -> bool:
    """Whether the set is proven to hold no string."""
    if shape.words is not None:
        return not shape.words
    if not shape.atoms:
        return False
    try:
        if any(atom.is_narrowed for atom in shape.atoms):
            bounds = {Atom("language", atom.bound()): atom.bound() for atom in shape.atoms}
            return _within(_product(bounds), shape.least, shape.most).is_empty()
        return language(shape).is_empty()
    except (InexpressibleError, GrammarTooLargeError):
        return False


def merged(shapes: Iterable[StringShape]) -> StringShape:
    """The union as one set."""
    return StringShape(atoms=frozenset({Atom("language", automata.union(map(language, shapes)))}))
