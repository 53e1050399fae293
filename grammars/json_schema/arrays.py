"""Sets of JSON arrays: leading items, the rest, how many, and how many of a kind."""

from __future__ import annotations

from dataclasses import dataclass, replace

from guided.grammars.json_schema.strings import InexpressibleError
from guided.grammars.json_schema.terms import Term, Terms


@dataclass(frozen=True, slots=True)
class Contains:
    """Of the items from position `start` on, `least` to `most` belong to `term`.

    `evaluates` tells whether `unevaluatedItems` counts items in `term` as looked at.
    """

    term: Term
    least: int = 1
    most: int | None = None
    start: int = 0
    evaluates: bool = False

    @property
    def is_trivial(self) -> bool:
        """Whether any number of items will do."""
        return self.least == 0 and self.most is None


@dataclass(frozen=True, slots=True)
class ArrayShape:
    """Arrays of `least` to `most` items that meet every condition.

    `evaluated` counts the leading items that a keyword has looked at (None: all of them), which is
    what `unevaluatedItems` asks for.
    """

    prefix: tuple[Term, ...]
    rest: Term
    least: int = 0
    most: int | None = None
    contains: tuple[Contains, ...] = ()
    unique: bool = False
    evaluated: int | None = 0

    def item(self, index: int) -> Term:
        """What stands at position `index`."""
        return self.prefix[index] if index < len(self.prefix) else self.rest


def trimmed(shape: ArrayShape, terms: Terms) -> ArrayShape | None:
    """The same set with the length that the items allow; None where there is plainly no array."""
    most = shape.most
    if shape.rest is terms.never and (most is None or most > len(shape.prefix)):
        most = len(shape.prefix)
    for index, term in enumerate(shape.prefix):
        if term is terms.never and (most is None or most > index):
            most = index
    least = shape.least
    contains = []
    for c in shape.contains:
        if c.term is terms.never or (c.most is not None and c.least > c.most):
            if c.least:
                return None
            continue
        if c.least:
            least = max(least, c.start + c.least)
        contains.append(c)
    if most is not None and least > most:
        return None
    prefix = shape.prefix if most is None else shape.prefix[:most]
    unique = shape.unique and (most is None or most > 1)
    return replace(
        shape, least=least, most=most, prefix=prefix, contains=tuple(contains), unique=unique
    )


def meet(a: ArrayShape, b: ArrayShape, terms: Terms) -> ArrayShape | None:
    """The arrays in both, None where there is plainly none."""
    count = max(len(a.prefix), len(b.prefix))
    evaluated = None
    if a.evaluated is not None and b.evaluated is not None:
        evaluated = max(a.evaluated, b.evaluated)
    shape = ArrayShape(
        tuple(terms.all_of((a.item(i), b.item(i))) for i in range(count)),
        terms.all_of((a.rest, b.rest)),
        max(a.least, b.least),
        a.most if b.most is None else b.most if a.most is None else min(a.most, b.most),
        tuple(dict.fromkeys(a.contains + b.contains)),
        a.unique or b.unique,
        evaluated,
    )
    return trimmed(shape, terms)


def complement(shape: ArrayShape, terms: Terms) -> list[ArrayShape]:
    """Sets that together hold exactly the arrays not in `shape`; raises InexpressibleError."""
    if shape.unique:
        raise InexpressibleError("the opposite of uniqueItems is not supported")
    parts: list[ArrayShape] = []
    if shape.least:
        parts.append(ArrayShape((), terms.any, most=shape.least - 1))
    if shape.most is not None:
        parts.append(ArrayShape((), terms.any, least=shape.most + 1))
    for index, term in enumerate(shape.prefix):
        if term is not terms.any:
            prefix = (*(terms.any,) * index, terms.negation(term))
            parts.append(ArrayShape(prefix, terms.any, least=index + 1))
    if shape.rest is terms.never:
        parts.append(ArrayShape((), terms.any, least=len(shape.prefix) + 1))
    elif shape.rest is not terms.any:
        bad = Contains(terms.negation(shape.rest), start=len(shape.prefix))
        parts.append(ArrayShape((), terms.any, contains=(bad,)))
    for c in shape.contains:
        if c.least:
            parts.append(
                ArrayShape((), terms.any, contains=(Contains(c.term, 0, c.least - 1, c.start),))
            )
        if c.most is not None:
            more = Contains(c.term, c.most + 1, None, c.start)
            parts.append(ArrayShape((), terms.any, contains=(more,)))
    found = (trimmed(part, terms) for part in parts)
    return [part for part in found if part is not None]
