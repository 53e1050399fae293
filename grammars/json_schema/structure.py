"""Numbers for schemas that are equal for those written alike, whatever their annotations."""

from __future__ import annotations

import json
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
# What a value is read as; values that must be equal are texts, remarks count where they are none.
_SCHEMA, _MAP, _PLAIN, _TEXT, _REMARK, _NOTHING = range(6)
_ROLES = {
    **dict.fromkeys(SCHEMAS, _SCHEMA),
    **dict.fromkeys(MAPS_OF_SCHEMAS, _MAP),
    **dict.fromkeys(("enum", "const"), _TEXT),
    **dict.fromkeys(("title", "description", "$comment"), _REMARK),
    # What a schema defines is looked at where something refers to it, by its place.
    **dict.fromkeys(("$defs", "definitions"), _NOTHING),
}
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
            shape: list[object] = [isinstance(value, list), role == _MAP]
            for name, part, part_role in _parts(value, role):
                if type(part) is str:
                    shape.append((name, part))
                elif isinstance(part, (dict, list)):
                    inner = self._known.get((id(part), part_role))
                    if inner is None:
                        inner = self._number(part, part_role, depth + 1)
                    shape.append((name, inner))
                else:
                    shape.append((name, type(part), part))
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


def _parts(value: Any, role: int) -> list[tuple[object, Any, int]]:
    """The entries of an object or array that matter to what a schema allows, and their roles."""
    inner = _PLAIN if role == _PLAIN else _SCHEMA
    if isinstance(value, list):
        return [(index, part, inner) for index, part in enumerate(value)]
    if role != _SCHEMA:
        return [(name, part, inner) for name, part in value.items()]
    found: list[tuple[object, Any, int]] = []
    for name, part in value.items():
        known = _ROLES.get(name, _PLAIN)
        if known == _TEXT:
            found.append((name, json.dumps(part), _PLAIN))
        elif known != _NOTHING and not (known == _REMARK and isinstance(part, str)):
            found.append((name, part, _PLAIN if known == _REMARK else known))
    return found
