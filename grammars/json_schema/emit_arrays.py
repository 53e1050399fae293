"""How the arrays of a shape are written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from guided.grammars.ir import Alt, Expr, Ref, Repeat, Seq
from guided.grammars.json_schema.arrays import ArrayShape
from guided.grammars.json_schema.context import Writer
from guided.grammars.json_schema.emit_unique import (
    distinct_anyway,
    distinct_bracket,
    unique_items,
)
from guided.grammars.json_schema.strings import InexpressibleError
from guided.grammars.json_schema.terms import Term

_MOST_STATES = 512
EMPTY = Seq(())
NEVER = Alt(())


def array_expr(shape: ArrayShape, rule: str, writer: Writer) -> Expr:
    """The text of an array in `shape`; raises InexpressibleError.

    Rules that are made for it are named after `rule`.
    """
    layout = writer.style.layout
    if shape.contains:
        shape = replace(shape, contains=tuple(c for c in shape.contains if not c.is_trivial))
    opening = layout.open_array
    body: Expr | None = None
    if shape.unique and not distinct_anyway(shape, writer):
        body = unique_items(shape, writer)
        if body is None:
            opening = distinct_bracket(shape, writer)
    if body is None:
        body = _counted_items(shape, rule, writer) if shape.contains else _items(shape, writer)
    return Seq((opening, body, layout.close_array))


def _items(shape: ArrayShape, writer: Writer) -> Expr:
    """Leading items one by one, then the rest."""
    comma = writer.style.layout.comma
    count = len(shape.prefix)
    if shape.most == 0:
        return EMPTY
    rest: Expr = EMPTY
    if shape.most is None or shape.most > count:
        rest = _rest(shape, writer)
    for index in reversed(range(count)):
        item = writer.value(shape.prefix[index])
        parts = (item, rest) if index == 0 else (comma, item, rest)
        rest = Seq(tuple(part for part in parts if part is not EMPTY))
        if index >= shape.least:
            rest = Alt((EMPTY, rest))
    return rest


def _rest(shape: ArrayShape, writer: Writer) -> Expr:
    """The items after the leading ones."""
    comma = writer.style.layout.comma
    item = writer.value(shape.rest)
    count = len(shape.prefix)
    least = max(shape.least - count, 0)
    most = None if shape.most is None else shape.most - count
    if count:
        return Repeat(Seq((comma, item)), least, most)
    more = Repeat(Seq((comma, item)), max(least - 1, 0), None if most is None else most - 1)
    full = item if most == 1 else Seq((item, more))
    return full if least else Alt((EMPTY, full))


# -- contains ------------------------------------------------------------------------------


def _counted_items(shape: ArrayShape, rule: str, writer: Writer) -> Expr:
    """Items with a count of those in each `contains`: a rule for each state of the counts."""
    counting = _Counting(shape, rule, writer)
    if counting.size > _MOST_STATES:
        raise InexpressibleError(f"counting the items needs {counting.size} states", "contains")
    start = counting.name((0,) * (1 + len(shape.contains)))
    for state in counting.queue:
        writer.rules[counting.name(state)] = counting.rule(state)
    return Ref(start)


class _Counting:
    """States are the number of items so far, and how many of them each `contains` has counted."""

    def __init__(self, shape: ArrayShape, stem: str, writer: Writer) -> None:
        self.queue: list[tuple[int, ...]] = []
        self._shape = shape
        self._stem = stem
        self._writer = writer
        self._names: dict[tuple[int, ...], str] = {}
        self._caps = [c.least if c.most is None else c.most for c in shape.contains]
        starts = (c.start for c in shape.contains)
        told_apart = max([1, len(shape.prefix), shape.least, *starts])
        self._places = told_apart if shape.most is None else shape.most

    @property
    def size(self) -> int:
        """How many states there can be."""
        return math.prod((self._places + 1, *(cap + 1 for cap in self._caps)))

    def name(self, state: tuple[int, ...]) -> str:
        """The rule of what may follow in `state`."""
        if state not in self._names:
            after = ",".join(map(str, state))
            self._names[state] = self._writer.fresh(f"{self._stem} after {after}")
            self.queue.append(state)
        return self._names[state]

    def rule(self, state: tuple[int, ...]) -> Expr:
        """What may follow in `state`."""
        shape, (place, *counts) = self._shape, state
        enough = all(n >= c.least for n, c in zip(counts, shape.contains, strict=True))
        parts: list[Expr] = [EMPTY] if place >= shape.least and enough else []
        if shape.most is None or place < shape.most:
            comma = (self._writer.style.layout.comma,) if place else ()
            for term, after in self._next(place, counts):
                target = self.name((min(place + 1, self._places), *after))
                parts.append(Seq((*comma, self._writer.value(term), Ref(target))))
        return Alt(tuple(parts))

    def _next(self, place: int, counts: list[int]) -> Iterator[tuple[Term, tuple[int, ...]]]:
        """The kinds of item that may come next, each with the counts after it."""
        terms = self._writer.translator.terms
        choices = []
        for c, n, cap in zip(self._shape.contains, counts, self._caps, strict=True):
            if place < c.start or (c.most is None and n >= c.least):
                choices.append([(terms.any, n)])
                continue
            # Without an upper limit, an item that matches need not be counted.
            outside = terms.any if c.most is None else terms.negation(c.term)
            choices.append([(outside, n)] + ([(c.term, n + 1)] if n < cap else []))
        for chosen in product(*choices):
            term = terms.all_of([self._shape.item(place), *(t for t, _ in chosen)])
            if term is not terms.never:
                yield term, tuple(n for _, n in chosen)
