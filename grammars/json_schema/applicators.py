"""Keywords that combine schemas: references, allOf, anyOf, oneOf, not, if and dependencies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

from guided.grammars.json_schema import keywords, objects
from guided.grammars.json_schema.context import Context
from guided.grammars.json_schema.document import Node
from guided.grammars.json_schema.normal import Normal
from guided.grammars.json_schema.objects import ObjectShape
from guided.grammars.json_schema.strings import InexpressibleError
from guided.grammars.json_schema.terms import Term
from guided.grammars.json_schema.unevaluated import without_unevaluated

_MOST_SUBSETS = 4
_Handler = Callable[[Node, Normal, Context], Normal]


def apply_all(node: Node, form: Normal, context: Context) -> Normal:
    """The values of `form` that also satisfy every applicator at `node`."""
    raw = node.raw
    if raw.keys().isdisjoint(_KEYWORDS):
        return form
    if "$ref" in raw and context.document.dialect.ref_hides_siblings:
        return context.normal(context.term(node))
    for keyword, handler in _HANDLERS.items():
        if keyword not in raw:
            continue
        try:
            form = handler(node, form, context)
        except InexpressibleError as error:
            context.refuse(node.pointer, keyword, str(error))
    return without_unevaluated(node, form, context)


def _branches(node: Node, keyword: str, context: Context) -> list[Term]:
    count = len(keywords.schemas(node, keyword))
    return [context.place(node, keyword, str(index)) for index in range(count)]


def _enum(node: Node, form: Normal, context: Context) -> Normal:
    values = node.raw["enum"]
    if not isinstance(values, list):
        keywords.wrong(node, "enum", "a list")
    context.budget.spend(len(values))
    return context.algebra.meet(context.algebra.consts(values, node.at("enum")), form)


def _const(node: Node, form: Normal, context: Context) -> Normal:
    return context.algebra.meet(context.algebra.consts([node.raw["const"]], node.at("const")), form)


def _ref(node: Node, form: Normal, context: Context) -> Normal:
    found = context.document.resolve(node, keywords.reference(node, "$ref"))
    target = context.term(found)
    return context.algebra.meet(form, context.normal(target))


def _dynamic_ref(node: Node, form: Normal, context: Context) -> Normal:
    target = context.document.resolve_dynamic(node, keywords.reference(node, "$dynamicRef"))
    return context.algebra.meet(form, context.normal(context.term(target)))


def _recursive_ref(node: Node, form: Normal, context: Context) -> Normal:
    target = context.document.resolve_recursive(node)
    return context.algebra.meet(form, context.normal(context.term(target)))


def _all_of(node: Node, form: Normal, context: Context) -> Normal:
    for term in _branches(node, "allOf", context):
        form = context.algebra.meet(form, context.normal(term))
    return form


def _any_of(node: Node, form: Normal, context: Context) -> Normal:
    algebra = context.algebra
    branches = [algebra.meet(form, context.normal(t)) for t in _branches(node, "anyOf", context)]
    if not context.document.tracks_evaluation:
        return algebra.join(branches)
    # All branches that hold count for unevaluatedProperties: every set of them is an alternative.
    if len(branches) > _MOST_SUBSETS:
        raise InexpressibleError(f"more than {_MOST_SUBSETS} branches beside unevaluated keywords")
    found = list(branches)
    for size in range(2, len(branches) + 1):
        for chosen in combinations(branches, size):
            both = chosen[0]
            for branch in chosen[1:]:
                both = algebra.meet(both, branch)
            found.append(both)
    return algebra.join(found)


def _one_of(node: Node, form: Normal, context: Context) -> Normal:
    algebra = context.algebra
    forms = [context.normal(term) for term in _branches(node, "oneOf", context)]
    found = []
    for index, branch in enumerate(forms):
        alone = algebra.meet(form, branch)
        for other_index, other in enumerate(forms):
            if alone.is_bottom:
                break
            if other_index != index:
                try:
                    alone = algebra.subtract(alone, other)
                except InexpressibleError as error:
                    raise InexpressibleError(
                        f"branches {index} and {other_index} may both hold, and {error}"
                    ) from error
        found.append(alone)
    return algebra.join(found)


def _not(node: Node, form: Normal, context: Context) -> Normal:
    return context.algebra.subtract(form, context.normal(context.place(node, "not")))


def _if(node: Node, form: Normal, context: Context) -> Normal:
    algebra = context.algebra
    if "then" not in node.raw and "else" not in node.raw and not context.document.tracks_evaluation:
        return form
    condition = context.normal(context.place(node, "if"))
    held, failed = algebra.meet(form, condition), algebra.subtract(form, condition)
    if "then" in node.raw:
        held = algebra.meet(held, context.normal(context.place(node, "then")))
    if "else" in node.raw:
        failed = algebra.meet(failed, context.normal(context.place(node, "else")))
    return algebra.join([held, failed])


def _dependent_required(node: Node, form: Normal, context: Context) -> Normal:
    keyword = "dependentRequired"
    for name in keywords.mapping(node, keyword):
        form = _depend_on_names(node, keyword, name, form, context)
    return form


def _dependent_schemas(node: Node, form: Normal, context: Context) -> Normal:
    for name in keywords.mapping(node, "dependentSchemas"):
        term = context.place(node, "dependentSchemas", name)
        form = _depend(name, context.normal(term), form, context)
    return form


def _dependencies(node: Node, form: Normal, context: Context) -> Normal:
    for name, value in keywords.mapping(node, "dependencies").items():
        if isinstance(value, (list, str)):
            form = _depend_on_names(node, "dependencies", name, form, context)
        else:
            term = context.place(node, "dependencies", name)
            form = _depend(name, context.normal(term), form, context)
    return form


def _depend_on_names(node: Node, keyword: str, name: str, form: Normal, context: Context) -> Normal:
    value = node.raw[keyword][name]
    wanted = [value] if isinstance(value, str) else value
    if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted):
        keywords.wrong(node, keyword, "a mapping to lists of names")
    if name in wanted and len(wanted) == 1:
        return form
    there = replace(context.algebra.top, objects=(ObjectShape(required=tuple(wanted)),))
    return _depend(name, there, form, context)


def _depend(name: str, then: Normal, form: Normal, context: Context) -> Normal:
    """`form`, where objects with the member `name` must also be in `then`."""
    terms = context.terms
    if then.listed:
        raise InexpressibleError("a condition beside so many arrays and objects")
    there = objects.present(name, terms.any, terms)
    with_it = [objects.meet(there, shape, terms) for shape in then.objects]
    rule = (objects.absent(name, terms), *(shape for shape in with_it if shape is not None))
    return context.algebra.meet(form, replace(context.algebra.top, objects=rule))


_HANDLERS: dict[str, _Handler] = {
    "enum": _enum,
    "const": _const,
    "$ref": _ref,
    "$dynamicRef": _dynamic_ref,
    "$recursiveRef": _recursive_ref,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "if": _if,
    "dependentRequired": _dependent_required,
    "dependentSchemas": _dependent_schemas,
    "dependencies": _dependencies,
    "not": _not,
}
APPLICATORS = frozenset(_HANDLERS) | {"then", "else"}
_KEYWORDS = APPLICATORS | {"unevaluatedProperties", "unevaluatedItems"}
