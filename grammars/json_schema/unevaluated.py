"""`unevaluatedProperties` and `unevaluatedItems`, read off the alternatives they apply to."""

from __future__ import annotations

from dataclasses import replace

from guided.grammars.json_schema import arrays
from guided.grammars.json_schema.arrays import ArrayShape
from guided.grammars.json_schema.context import Context
from guided.grammars.json_schema.document import Node
from guided.grammars.json_schema.normal import Normal
from guided.grammars.json_schema.objects import Clause, ObjectShape, checked
from guided.grammars.json_schema.strings import InexpressibleError
from guided.grammars.json_schema.terms import Term


def without_unevaluated(node: Node, form: Normal, context: Context) -> Normal:
    """The values of `form` whose unevaluated members and items are as `node` asks.

    Each alternative knows which members its own branches have looked at; branches that hold
    without being chosen have an alternative of their own.
    """
    terms = context.terms
    unevaluated = ("unevaluatedProperties", "unevaluatedItems")
    if form.listed and not node.raw.keys().isdisjoint(unevaluated):
        raise InexpressibleError("unevaluated keywords beside so many arrays and objects")
    if "unevaluatedProperties" in node.raw:
        rest = context.place(node, "unevaluatedProperties")
        shapes = (_members(shape, rest, context) for shape in form.objects)
        kept = (checked(shape, terms) for shape in shapes)
        form = replace(form, objects=tuple(shape for shape in kept if shape is not None))
    if "unevaluatedItems" in node.raw:
        rest = context.place(node, "unevaluatedItems")
        found = (_items(shape, rest, context) for shape in form.arrays)
        form = replace(form, arrays=tuple(shape for shape in found if shape is not None))
    return form


def _members(shape: ObjectShape, rest: Term, context: Context) -> ObjectShape:
    any_term = context.terms.any
    evaluated = [clause for clause in shape.clauses if clause.evaluates]
    named = {name: any_term for clause in evaluated for name in clause.named}
    patterns = tuple((atom, any_term) for clause in evaluated for atom, _ in clause.patterns)
    if any(clause.covers for clause in evaluated):
        rest = any_term
    clause = Clause(named, patterns, rest, evaluates=True, covers=True)
    return replace(shape, clauses=(*shape.clauses, clause))


def _items(shape: ArrayShape, rest: Term, context: Context) -> ArrayShape | None:
    terms = context.terms
    if rest is terms.any or shape.evaluated is None:
        return replace(shape, evaluated=None)
    rest = terms.any_of((rest, *(c.term for c in shape.contains if c.evaluates)))
    seen = (terms.any,) * shape.evaluated
    found = arrays.meet(shape, ArrayShape(seen, rest), terms)
    return found and replace(found, evaluated=None)
