"""Whether a schema is known to allow many values."""

from __future__ import annotations

import math

from guided.errors import GuidedError
from guided.grammars.json_schema import strings
from guided.grammars.json_schema.arrays import ArrayShape
from guided.grammars.json_schema.context import Context
from guided.grammars.json_schema.numbers import NumberShape
from guided.grammars.json_schema.objects import ObjectShape
from guided.grammars.json_schema.strings import InexpressibleError, StringShape
from guided.grammars.json_schema.terms import Term

MANY = 1000
_DEEPEST = 8


class Plenty:
    """Looks for MANY values, or for twice as many as are asked for."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._open: set[Term] = set()

    def has_enough(self, term: Term, count: int) -> bool:
        """Whether `term` has plenty for `count` items that differ; False also means unknown."""
        if term in self._open or len(self._open) >= _DEEPEST:
            return False
        many = max(MANY, 2 * count)
        self._open.add(term)
        try:
            form = self._context.normal(term)
            return (
                len(form.listed) >= many
                or any(_numbers(shape, many) for shape in form.numbers)
                or any(_strings(shape, many) for shape in form.strings)
                or any(self._arrays(shape, many) for shape in form.arrays)
                or any(self._objects(shape, many) for shape in form.objects)
            )
        except (InexpressibleError, GuidedError):
            return False
        finally:
            self._open.discard(term)

    def _arrays(self, shape: ArrayShape, many: int) -> bool:
        if shape.contains:
            return False
        places = range(shape.least + 1 if shape.most is None else shape.least)
        terms = [shape.item(i) for i in places[: len(shape.prefix) + 1]]
        if any(self._context.is_empty(term) for term in terms):
            return False
        if shape.unique and not all(self.has_enough(term, many) for term in terms):
            return False
        if shape.most is None:
            return shape.rest is self._context.terms.any or self.has_enough(shape.rest, many)
        return any(self.has_enough(term, many) for term in terms)

    def _objects(self, shape: ObjectShape, many: int) -> bool:
        terms = self._context.terms
        if shape.some or shape.names or shape.most is not None or shape.least > len(shape.required):
            return False
        if any(self._context.is_empty(shape.member(name, terms)) for name in shape.required):
            return False
        if all(clause.rest is terms.any and not clause.patterns for clause in shape.clauses):
            return True
        return any(self.has_enough(shape.member(name, terms), many) for name in shape.known())


def _strings(shape: StringShape, many: int) -> bool:
    if shape.words is not None:
        return len(shape.words) >= many
    if not shape.atoms:
        return shape.most is None or shape.most >= 2
    dfa = strings.language(shape)
    return not dfa.is_empty() and (not dfa.is_finite() or len(dfa.words(many)) >= many)


def _numbers(shape: NumberShape, many: int) -> bool:
    if shape.values is not None:
        return len(shape.values) >= many
    if shape.not_multiples or (shape.integral is False and shape.multiples):
        return False
    if shape.low is None or shape.high is None:
        return True
    width = shape.high.value - shape.low.value
    if shape.integral is not True and not shape.multiples:
        return width > 0
    # p is a multiple of p / q.
    step = math.prod(multiple.numerator for multiple in shape.multiples)
    return width >= (many + len(shape.excluded)) * step
