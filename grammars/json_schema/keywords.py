"""Reading the values of keywords; a value of the wrong kind is a SchemaError at its pointer."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, NoReturn

from guided.errors import SchemaError
from guided.grammars.json_schema.document import Node

TYPES = ("null", "boolean", "number", "integer", "string", "array", "object")
_ALL_TYPES = frozenset(TYPES)
ANNOTATIONS = frozenset(
    [
        "title",
        "description",
        "default",
        "examples",
        "example",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$comment",
        "$schema",
        "$id",
        "id",
        "$anchor",
        "$dynamicAnchor",
        "$recursiveAnchor",
        "$vocabulary",
        "$defs",
        "definitions",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
    ]
)


def wrong(node: Node, keyword: str, expected: str) -> NoReturn:
    """Raise the SchemaError of a keyword whose value is not what it must be."""
    raise SchemaError(f"{keyword} must be {expected}", node.at(keyword))


def number(node: Node, keyword: str) -> int | float | None:
    """The number that `keyword` gives, None where it is missing."""
    value = node.raw.get(keyword)
    if value is None and keyword not in node.raw:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        wrong(node, keyword, "a number")
    return value


def count(node: Node, keyword: str) -> int | None:
    """The non-negative integer that `keyword` gives, None where it is missing."""
    value = number(node, keyword)
    if value is None:
        return None
    if value < 0 or value != int(value):
        wrong(node, keyword, "an integer that is not negative")
    return int(value)


def text(node: Node, keyword: str) -> str | None:
    """The string that `keyword` gives, None where it is missing."""
    if keyword not in node.raw:
        return None
    value = node.raw[keyword]
    if not isinstance(value, str):
        wrong(node, keyword, "a string")
    return value


def reference(node: Node, keyword: str) -> str:
    """The reference that `keyword`, which is there, gives."""
    value = node.raw[keyword]
    if not isinstance(value, str):
        wrong(node, keyword, "a string")
    return value


def names(node: Node, keyword: str) -> list[str]:
    """The list of strings that `keyword` gives, empty where it is missing."""
    value = node.raw.get(keyword, [])
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        wrong(node, keyword, "a list of strings")
    return value


def mapping(node: Node, keyword: str) -> dict[str, Any]:
    """The object that `keyword` gives, empty where it is missing."""
    value = node.raw.get(keyword, {})
    if not isinstance(value, dict):
        wrong(node, keyword, "an object")
    return value


def schemas(node: Node, keyword: str) -> list[Any]:
    """The non-empty list that `keyword` gives."""
    value = node.raw[keyword]
    if not isinstance(value, list) or not value:
        wrong(node, keyword, "a list of at least one schema")
    return value


def types(node: Node) -> Set[str]:
    """The types that `type` allows; all of them where it is missing."""
    value = node.raw.get("type")
    if value is None and "type" not in node.raw:
        return _ALL_TYPES
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(name, str) and name in TYPES for name in found):
        wrong(node, "type", f"one of {', '.join(TYPES)}, or a list of them")
    return set(found)
