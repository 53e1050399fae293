"""Keywords that combine schemas: references, allOf, anyOf, oneOf, not, if, dependencies, the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from guided.grammars.json_schema import keywords, objects
from guided.grammars.json_schema.document import Node
from guided.grammars.json_schema.normal import Normal
from guided.grammars.json_schema.objects import ObjectShape
from guided.grammars.json_schema.strings import Inexpressible
from guided.grammars.json_schema.terms import Term
from guided.grammars.json_schema.unevaluated import without_unevaluated

if TYPE_CHECKING:
    from guided.grammars.json_schema.translate import Translator

_MOST_SUBSETS = 4
_Handler = Callable[[Node, Normal, "Translator"], Normal]


def apply_all(node: Node, form: Normal, translator: Translator) -> Normal:
    """The values of `form` that also satisfy every applicator at `node`."""
    raw = node.raw
    if "$ref" in raw and translator.document.dialect.ref_hides_siblings:
        return translator.normal(translator.term(node))
    for keyword, handler in _HANDLERS.items():
        if keyword not in raw:
            continue
        try:
            form = handler(node, form, translator)
        except Inexpressible as error:
            translator.refuse(node.pointer, keyword, str(error))
    try:
        return without_unevaluated(node, form, translator)
    except Inexpressible as error:
        translator.refuse(node.pointer, "unevaluatedProperties", str(error))
        return form


def _branches(node: Node, keyword: str, translator: Translator) -> list[Term]:
    count = len(keywords.schemas(node, keyword))
    return [translator.place(node, keyword, str(index)) for index in range(count)]


def _enum(node: Node, form: Normal, translator: Translator) -> Normal:
    values = node.raw["enum"]
    if not isinstance(values, list):
        keywords.wrong(node, "enum", "a list")
    translator.budget.spend(len(values))
    return translator.algebra.meet(translator.algebra.consts(values, node.at("enum")), form)


def _const(node: Node, form: Normal, translator: Translator) -> Normal:
    return translator.algebra.meet(
        translator.algebra.consts([node.raw["const"]], node.at("const")), form
    )


def _ref(node: Node, form: Normal, translator: Translator) -> Normal:
    reference = keywords.text(node, "$ref")
    assert reference is not None
    target = translator.term(translator.document.resolve(node, reference))
    return translator.algebra.meet(form, translator.normal(target))


def _dynamic_ref(node: Node, form: Normal, translator: Translator) -> Normal:
    reference = keywords.text(node, "$dynamicRef")
    assert reference is not None
    target = translator.document.resolve_dynamic(node, reference)
    if target is None:
        raise Inexpressible("its target depends on the path by which it is reached")
    return translator.algebra.meet(form, translator.normal(translator.term(target)))


def _recursive_ref(node: Node, form: Normal, translator: Translator) -> Normal:
    target = translator.document.resolve_recursive(node)
    if target is None:
        raise Inexpressible("its target depends on the path by which it is reached")
    return translator.algebra.meet(form, translator.normal(translator.term(target)))


def _all_of(node: Node, form: Normal, translator: Translator) -> Normal:
    for term in _branches(node, "allOf", translator):
        form = translator.algebra.meet(form, translator.normal(term))
    return form


def _any_of(node: Node, form: Normal, translator: Translator) -> Normal:
    algebra = translator.algebra
    branches = [algebra.meet(form, translator.normal(t)) for t in _branches(node, "anyOf", translator)]
    if not translator.document.tracks_evaluation:
        return algebra.join(branches)
    # All branches that hold count for unevaluatedProperties: every set of them is an alternative.
    if len(branches) > _MOST_SUBSETS:
        raise Inexpressible(f"more than {_MOST_SUBSETS} branches beside unevaluated keywords")
    found = list(branches)
    for size in range(2, len(branches) + 1):
        for chosen in combinations(branches, size):
            both = chosen[0]
            for branch in chosen[1:]:
                both = algebra.meet(both, branch)
            found.append(both)
    return algebra.join(found)


def _one_of(node: Node, form: Normal, translator: Translator) -> Normal:
    algebra = translator.algebra
    forms = [translator.normal(term) for term in _branches(node, "oneOf", translator)]
    found = []
    for index, branch in enumerate(forms):
        alone = algebra.meet(form, branch)
        for other_index, other in enumerate(forms):
            if alone.is_bottom:
                break
            if other_index != index:
                try:
                    alone = algebra.subtract(alone, other)
                except Inexpressible as error:
                    raise Inexpressible(
                        f"branches {index} and {other_index} may both hold, and {error}"
                    ) from error
        found.append(alone)
    return algebra.join(found)


def _not(node: Node, form: Normal, translator: Translator) -> Normal:
    return translator.algebra.subtract(form, translator.normal(translator.place(node, "not")))


def _if(node: Node, form: Normal, translator: Translator) -> Normal:
    algebra = translator.algebra
    if "then" not in node.raw and "else" not in node.raw and not translator.document.tracks_evaluation:
        return form
    condition = translator.normal(translator.place(node, "if"))
    held, failed = algebra.meet(form, condition), algebra.subtract(form, condition)
    if "then" in node.raw:
        held = algebra.meet(held, translator.normal(translator.place(node, "then")))
    if "else" in node.raw:
        failed = algebra.meet(failed, translator.normal(translator.place(node, "else")))
    return algebra.join([held, failed])


def _dependent_required(node: Node, form: Normal, translator: Translator) -> Normal:
    keyword = "dependentRequired"
    for name in keywords.mapping(node, keyword):
        form = _depend_on_names(node, keyword, name, form, translator)
    return form


def _dependent_schemas(node: Node, form: Normal, translator: Translator) -> Normal:
    for name in keywords.mapping(node, "dependentSchemas"):
        term = translator.place(node, "dependentSchemas", name)
        form = _depend(name, translator.normal(term), form, translator)
    return form


def _dependencies(node: Node, form: Normal, translator: Translator) -> Normal:
    for name, value in keywords.mapping(node, "dependencies").items():
        if isinstance(value, (list, str)):
            form = _depend_on_names(node, "dependencies", name, form, translator)
        else:
            term = translator.place(node, "dependencies", name)
            form = _depend(name, translator.normal(term), form, translator)
    return form


def _depend_on_names(
    node: Node, keyword: str, name: str, form: Normal, translator: Translator
) -> Normal:
    value = node.raw[keyword][name]
    wanted = [value] if isinstance(value, str) else value
    if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted):
        keywords.wrong(node, keyword, "a mapping to lists of names")
    if name in wanted and len(wanted) == 1:
        return form
    there = replace(translator.algebra.top, objects=(ObjectShape(required=tuple(wanted)),))
    return _depend(name, there, form, translator)


def _depend(name: str, then: Normal, form: Normal, translator: Translator) -> Normal:
    """`form`, where objects with the member `name` must also be in `then`."""
    terms = translator.terms
    there = objects.present(name, terms.any, terms)
    with_it = [objects.meet(there, shape, terms) for shape in then.objects]
    rule = (objects.absent(name, terms), *(shape for shape in with_it if shape is not None))
    return translator.algebra.meet(form, replace(translator.algebra.top, objects=rule))


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
