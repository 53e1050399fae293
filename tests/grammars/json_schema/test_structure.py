"""Which schemas are told apart."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

from guided.grammars.json_schema import json_schema
from guided.grammars.json_schema.structure import Structures


def deep(inner: Any, levels: int = 400) -> Any:
    for _ in range(levels):
        inner = {"items": [inner]}
    return inner


ALIKE = [
    ({"type": "string", "title": "a"}, {"description": "b", "type": "string"}),
    ({"items": {"$comment": "x", "minimum": 1}}, {"items": {"minimum": 1}}),
    ({"$defs": {"a": {"type": "null"}}, "minimum": 1}, {"definitions": {}, "minimum": 1}),
    (OrderedDict(items=OrderedDict(type="null")), {"items": {"type": "null"}}),
    (deep({"type": "null", "title": "a"}), deep({"type": "null"})),
]
APART = [
    ({"const": 1}, {"const": True}),
    ({"const": 1}, {"const": 1.0}),
    ({"minimum": 0}, {"minimum": False}),
    ({"enum": [1]}, {"enum": ["1"]}),
    ({"properties": {"title": {"type": "null"}}}, {"properties": {"title": {"type": "string"}}}),
    ({"properties": {"$defs": {"type": "null"}}}, {"properties": {"$defs": {"type": "string"}}}),
    ({"properties": {"enum": {"title": "a"}}}, {"properties": {"const": {"title": "a"}}}),
    ({"title": {"a": 1}}, {"title": {"a": 2}}),
    ({"title": {"title": "a"}}, {"title": {"title": "b"}}),
    ({"unknown": {"title": "a"}}, {"unknown": {"title": "b"}}),
    ({"items": [{}]}, {"items": {"0": {}}}),
    ({"dependencies": {"a": ["b"]}}, {"dependencies": {"a": {"b": {}}}}),
    (deep({"type": "null"}), deep({"type": "string"})),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_remarks_and_definitions_make_no_difference(one: Any, other: Any) -> None:
    structures = Structures()
    assert structures.number(one) == structures.number(other)


@pytest.mark.parametrize(("one", "other"), APART)
def test_everything_else_makes_one(one: Any, other: Any) -> None:
    structures = Structures()
    assert structures.number(one) != structures.number(other)


def test_equal_schemas_share_one_rule() -> None:
    item = {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False}
    schema = {
        "type": "object",
        "properties": {"x": {**item, "title": "X"}, "y": OrderedDict(item)},
        "additionalProperties": False,
    }
    assert len(json_schema(schema).spec.rules) == 2
