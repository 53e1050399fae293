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
_OPENING = {(False, False): "{", (False, True): "map", (True, False): "[", (True, True): "[map"}
_DEEPEST = 100
"""Levels up to which parts are numbered by recursion."""


#: A schema all of whose values are texts, numbers, true, false, null, or written as a text.
Flat = tuple[object, ...]


class Structures:
    """Numbers the schemas of one document, each part once."""

    def __init__(self) -> None:
        # By role and object. Values live as long as the document, so that no id is used twice.
        self._known: tuple[dict[int, int], ...] = tuple({} for _ in range(_NOTHING + 1))
        self._interned: dict[object, int] = {}
        #: What the schemas hold that have no parts, by their numbers: equal in all documents.
        self.flat: dict[int, Flat] = {}

    def number(self, schema: Any) -> int:
        """A number that is equal for schemas written alike."""
        known = self._known[_SCHEMA].get(id(schema))
        if known is not None:
            return known
        if isinstance(schema, (dict, list)):
            return self._number(schema, _SCHEMA, 0)
        return self._intern((type(schema), schema))

    def _number(self, value: Any, role: int, depth: int) -> int:
        """The number of an object or array that has none yet."""
        if depth >= _DEEPEST:
            self._settle(value, role)
        # After a name, or in a list, stands a text, a number of a part, or a type and a value.
        shape: list[object] = [_OPENING[isinstance(value, list), role == _MAP]]
        add = shape.append
        is_list, is_schema, is_flat = isinstance(value, list), role == _SCHEMA, True
        part_role = _PLAIN if role == _PLAIN else _SCHEMA
        for entry in value if is_list else value.items():
            if is_list:
                part = entry
            else:
                name, part = entry
                if is_schema:
                    part_role = _ROLES.get(name, _PLAIN)
                    if part_role > _PLAIN:
                        if part_role == _TEXT:
                            part = json.dumps(part)
                        elif part_role == _NOTHING or isinstance(part, str):
                            continue
                        part_role = _PLAIN
                add(name)
            kind = type(part)
            if kind is str:
                add(part)
            elif kind is dict or kind is list or isinstance(part, (dict, list)):
                inner = self._known[part_role].get(id(part))
                add(self._number(part, part_role, depth + 1) if inner is None else inner)
                is_flat = False
            else:
                shape += (kind, part)
        found = tuple(shape)
        known = self._known[role][id(value)] = self._intern(found)
        if is_flat and is_schema:
            self.flat[known] = found
        return known

    def _settle(self, value: Any, role: int) -> None:
        """Numbers everything inside of a value, the innermost first."""
        stack = [(value, role)]
        while stack:
            value, role = stack[-1]
            inner = [
                (part, part_role)
                for part, part_role in _inside(value, role)
                if id(part) not in self._known[part_role]
            ]
            if inner:
                stack += inner
            else:
                stack.pop()
                if stack:
                    self._number(value, role, 0)

    def _intern(self, shape: object) -> int:
        return self._interned.setdefault(shape, len(self._interned))


def _inside(value: Any, role: int) -> Iterator[tuple[Any, int]]:
    """The objects and arrays in one that are numbered with it, and their roles."""
    inner = _PLAIN if role == _PLAIN else _SCHEMA
    if role != _SCHEMA or isinstance(value, list):
        for part in value if isinstance(value, list) else value.values():
            if isinstance(part, (dict, list)):
                yield part, inner
        return
    for name, part in value.items():
        known = _ROLES.get(name, _PLAIN)
        if isinstance(part, (dict, list)) and (known <= _PLAIN or known == _REMARK):
            yield part, min(known, _PLAIN)
