"""Numbers for schemas that are equal for those written alike, whatever their annotations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

MAPS_OF_SCHEMAS = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)
SCHEMAS = frozenset(
    [
        "items",
        "additionalItems",
        "prefixItems",
        "contains",
        "additionalProperties",
        "propertyNames",
        "not",
        "if",
        "then",
        "else",
        "allOf",
        "anyOf",
        "oneOf",
        "unevaluatedItems",
        "unevaluatedProperties",
        "contentSchema",
    ]
)
# What a schema defines is looked at where something refers to it, by its place in the document.
_DEFINITIONS = frozenset({"$defs", "definitions"})
_VALUES = frozenset({"enum", "const"})
_REMARKS = frozenset({"title", "description", "$comment"})
# What a value is read as.
_SCHEMA, _MAP, _PLAIN = range(3)
_DEEPEST = 100
"""Levels up to which parts are numbered by recursion."""


class Structures:
    """Numbers the schemas of one document, each part once."""

    def __init__(self) -> None:
        # Values live as long as the document, so that no id is used twice.
        self._known: dict[tuple[int, int], int] = {}
        self._interned: dict[object, int] = {}

    def number(self, schema: Any) -> int:
        """A number that is equal for schemas written alike."""
        if isinstance(schema, (dict, list)):
            return self._number(schema, _SCHEMA, 0)
        return self._intern((type(schema), schema))

    def _number(self, value: Any, role: int, depth: int) -> int:
        known = self._known.get((id(value), role))
        if known is None:
            if depth >= _DEEPEST:
                self._settle(value, role)
            shape: list[object] = [type(value), role == _MAP]
            for name, part, part_role in _parts(value, role):
                kind = type(part)
                if kind is dict or kind is list:
                    shape.append((name, self._number(part, part_role, depth + 1)))
                else:
                    shape.append((name, kind, part))
            known = self._known[id(value), role] = self._intern(tuple(shape))
        return known

    def _settle(self, value: Any, role: int) -> None:
        """Numbers everything inside of a value, the innermost first."""
        stack = [(value, role)]
        while stack:
            value, role = stack[-1]
            inner = [
                (part, part_role)
                for _, part, part_role in _parts(value, role)
                if isinstance(part, (dict, list)) and (id(part), part_role) not in self._known
            ]
            if inner:
                stack += inner
            else:
                stack.pop()
                if stack:
                    self._number(value, role, 0)

    def _intern(self, shape: object) -> int:
        return self._interned.setdefault(shape, len(self._interned))


def _parts(value: Any, role: int) -> Iterator[tuple[object, Any, int]]:
    """The entries of an object or array that matter to what a schema allows, and their roles."""
    inner = _PLAIN if role == _PLAIN else _SCHEMA
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield index, part, inner
    elif role != _SCHEMA:
        for name, part in value.items():
            yield name, part, inner
    else:
        for name, part in value.items():
            if name in _VALUES:
                yield name, json.dumps(part), _PLAIN
            elif name in MAPS_OF_SCHEMAS:
                if name not in _DEFINITIONS:
                    yield name, part, _MAP
            elif not (name in _REMARKS and isinstance(part, str)):
                yield name, part, _SCHEMA if name in SCHEMAS else _PLAIN
