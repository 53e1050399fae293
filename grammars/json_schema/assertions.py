"""What the keywords of one schema assert about each JSON type, before any `allOf` or `$ref`."""

from __future__ import annotations

from typing import TypeVar

from guided.grammars.automata import Dfa, utf8
from guided.grammars.json_schema import keywords
from guided.grammars.json_schema.arrays import ArrayShape, Contains, trimmed
from guided.grammars.json_schema.context import Context
from guided.grammars.json_schema.document import Dialect, Node
from guided.grammars.json_schema.formats import FORMATS
from guided.grammars.json_schema.normal import Normal
from guided.grammars.json_schema.numbers import Bound, NumberShape, exact, is_empty
from guided.grammars.json_schema.objects import Clause, ObjectShape, checked
from guided.grammars.json_schema.strings import Atom, InexpressibleError, StringShape
from guided.grammars.json_schema.terms import Term

_NUMBERS = frozenset(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"])
_STRINGS = frozenset(["minLength", "maxLength", "pattern", "format"])
_ARRAYS = frozenset(
    [
        "items",
        "additionalItems",
        "prefixItems",
        "minItems",
        "maxItems",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
    ]
)
_OBJECTS = frozenset(
    [
        "properties",
        "patternProperties",
        "additionalProperties",
        "required",
        "minProperties",
        "maxProperties",
        "propertyNames",
    ]
)
Shape = TypeVar("Shape")
ASSERTIONS = _NUMBERS | _STRINGS | _ARRAYS | _OBJECTS | {"type"}


def assertions(node: Node, context: Context) -> Normal:
    """The values that `type` and the keywords of each type allow."""
    top = context.algebra.top
    given = node.raw.keys()
    if "type" not in given and given.isdisjoint(ASSERTIONS):
        return top
    allowed = keywords.types(node)
    integral = "integer" in allowed and "number" not in allowed
    numbers, strings, arrays, objects = top.numbers, top.strings, top.arrays, top.objects
    if integral or not given.isdisjoint(_NUMBERS):
        numbers = _if_any(_number_shape(node, integral))
    if not given.isdisjoint(_STRINGS):
        strings = _if_any(_string_shape(node, context))
    if not given.isdisjoint(_ARRAYS):
        arrays = _if_any(_array_shape(node, context))
    if not given.isdisjoint(_OBJECTS):
        objects = _if_any(_object_shape(node, context))
    boolean = "boolean" in allowed
    return Normal(
        "null" in allowed,
        boolean,
        boolean,
        numbers if "number" in allowed or integral else (),
        strings if "string" in allowed else (),
        arrays if "array" in allowed else (),
        objects if "object" in allowed else (),
    )


def _if_any(shape: Shape | None) -> tuple[Shape, ...]:
    return () if shape is None else (shape,)


def _number_shape(node: Node, integral: bool) -> NumberShape | None:
    low, high = _bound(node, "minimum"), _bound(node, "maximum")
    above, below = _exclusive(node, "exclusiveMinimum"), _exclusive(node, "exclusiveMaximum")
    # Draft 4 writes true or false beside the bound; later drafts write the bound itself.
    if above is True and low is not None:
        low = Bound(low.value, False)
    if below is True and high is not None:
        high = Bound(high.value, False)
    if isinstance(above, Bound) and (low is None or above.value >= low.value):
        low = above
    if isinstance(below, Bound) and (high is None or below.value <= high.value):
        high = below
    step = keywords.number(node, "multipleOf")
    if step is not None and step <= 0:
        keywords.wrong(node, "multipleOf", "above 0")
    multiples = frozenset() if step is None else frozenset({exact(step)})
    shape = NumberShape(True if integral else None, low, high, multiples)
    return None if is_empty(shape) else shape


def _bound(node: Node, keyword: str) -> Bound | None:
    value = keywords.number(node, keyword)
    return None if value is None else Bound(exact(value))


def _exclusive(node: Node, keyword: str) -> Bound | bool | None:
    value = node.raw.get(keyword)
    if isinstance(value, bool):
        return value
    value = keywords.number(node, keyword)
    return None if value is None else Bound(exact(value), False)


def _string_shape(node: Node, context: Context) -> StringShape | None:
    atoms = []
    pattern = keywords.text(node, "pattern")
    if pattern is not None:
        atoms.append(Atom("pattern", pattern))
    name = keywords.text(node, "format")
    if name in FORMATS and context.asserts_formats:
        atoms.append(Atom("format", name))
    for atom in list(atoms):
        try:
            is_all = _is_all(atom.language())
        except InexpressibleError as error:
            context.report.refuse(node.pointer, atom.kind, str(error))
            is_all = True
        if is_all:
            atoms.remove(atom)
    least = keywords.count(node, "minLength") or 0
    most = keywords.count(node, "maxLength")
    if most is not None and least > most:
        return None
    return StringShape(None, frozenset(atoms), least, most)


def _is_all(dfa: Dfa) -> bool:
    """Whether every string is a word: the automata here are minimal, their numbering is one."""
    return dfa.n_states == utf8().n_states and dfa == utf8()


def _array_shape(node: Node, context: Context) -> ArrayShape | None:
    terms, raw = context.terms, node.raw
    prefix: tuple[Term, ...] = ()
    rest, evaluated = terms.any, 0
    rest_keyword = "items"
    leading = "prefixItems" if "prefixItems" in raw else "items"
    if isinstance(raw.get(leading), list):
        found = raw[leading]
        prefix = tuple(context.place(node, leading, str(i)) for i in range(len(found)))
        rest_keyword = "items" if leading == "prefixItems" else "additionalItems"
    evaluated_all = rest_keyword in raw
    if rest_keyword in raw:
        rest = context.place(node, rest_keyword)
    evaluated = len(prefix)
    shape = ArrayShape(
        prefix,
        rest,
        keywords.count(node, "minItems") or 0,
        keywords.count(node, "maxItems"),
        _contains(node, context),
        _unique(node),
        None if evaluated_all else evaluated,
    )
    return trimmed(shape, terms)


def _unique(node: Node) -> bool:
    value = node.raw.get("uniqueItems", False)
    if not isinstance(value, bool):
        keywords.wrong(node, "uniqueItems", "true or false")
    return value


def _contains(node: Node, context: Context) -> tuple[Contains, ...]:
    if "contains" not in node.raw:
        return ()
    least, most = keywords.count(node, "minContains"), keywords.count(node, "maxContains")
    if context.document.dialect.ref_hides_siblings:  # not a keyword before 2019-09
        least = most = None
    least = 1 if least is None else least
    evaluates = context.document.dialect is Dialect.DRAFT2020
    term = context.place(node, "contains")
    return (Contains(term, least, most, evaluates=evaluates),)


def _object_shape(node: Node, context: Context) -> ObjectShape | None:
    terms, raw = context.terms, node.raw
    clauses: tuple[Clause, ...] = ()
    if not raw.keys().isdisjoint(("properties", "patternProperties", "additionalProperties")):
        clauses = (_clause(node, context),)
    names = (context.place(node, "propertyNames"),) if "propertyNames" in raw else ()
    shape = ObjectShape(
        clauses,
        tuple(dict.fromkeys(keywords.names(node, "required"))),
        keywords.count(node, "minProperties") or 0,
        keywords.count(node, "maxProperties"),
        tuple(term for term in names if term is not terms.any),
    )
    return checked(shape, terms)


def _clause(node: Node, context: Context) -> Clause:
    named = context.places(node, "properties") if keywords.mapping(node, "properties") else {}
    patterns = []
    for pattern in keywords.mapping(node, "patternProperties"):
        atom = Atom("pattern", pattern)
        try:
            atom.language()
        except InexpressibleError as error:
            context.report.refuse(node.pointer, "patternProperties", str(error))
            continue
        patterns.append((atom, context.place(node, "patternProperties", pattern)))
    others = "additionalProperties" in node.raw
    rest = context.place(node, "additionalProperties") if others else context.terms.any
    return Clause(named, tuple(patterns), rest, evaluates=True, covers=others)
