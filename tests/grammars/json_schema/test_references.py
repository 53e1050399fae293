"""`$ref` in all its spellings."""

from __future__ import annotations

from typing import Any

import pytest

from guided.errors import SchemaError
from guided.grammars.json_schema import json_schema
from tests.grammars.json_schema.checking import check

DRAFT7 = {"$schema": "http://json-schema.org/draft-07/schema#"}


def test_references_go_by_pointer_with_escapes() -> None:
    schema = {"$defs": {"a/b~c %": {"type": "integer"}}, "items": {"$ref": "#/$defs/a~1b~0c%20%25"}}
    check(schema | {"type": "array"}, [[1]], [["a"]])


def test_references_go_by_anchor_and_by_identifier() -> None:
    schema = {
        "$id": "http://x.y/root.json",
        "type": "array",
        "$defs": {
            "n": {"$anchor": "num", "type": "integer"},
            "o": {"$id": "other.json", "$defs": {"s": {"type": "string"}}},
        },
        "prefixItems": [
            {"$ref": "#num"},
            {"$ref": "other.json#/$defs/s"},
            {"$ref": "http://x.y/root.json#/$defs/n"},
        ],
    }
    check(schema, [[1, "a", 2]], [["a"], [1, 2], [1, "a", "b"]])


def test_recursive_schemas_have_documents_of_any_depth() -> None:
    schema = {
        "type": "object",
        "properties": {"v": {"type": "integer"}, "next": {"$ref": "#"}},
        "required": ["v"],
        "additionalProperties": False,
    }
    check(
        schema,
        [{"v": 1}, {"v": 1, "next": {"v": 2, "next": {"v": 3}}}],
        [{"v": 1, "next": {}}, {"v": 1, "next": {"v": 2, "next": {"v": "x"}}}],
    )


def test_recursion_within_an_intersection_ends() -> None:
    tree = {"type": "array", "items": {"$ref": "#/$defs/tree"}}
    schema = {
        "$defs": {"tree": tree, "short": {"maxItems": 2, "items": {"$ref": "#/$defs/short"}}},
        "allOf": [{"$ref": "#/$defs/tree"}, {"$ref": "#/$defs/short"}],
    }
    check(schema, [[], [[], [[]]]], [[[], [], []], [[[], [], []]], [1]])


def test_siblings_of_a_reference_hold_from_2019_on_and_are_ignored_before() -> None:
    schema = {"$ref": "#/definitions/a", "maximum": 3, "definitions": {"a": {"type": "integer"}}}
    check(schema, [3], [4, "a"])
    check(schema | DRAFT7, [3, 4], ["a"])


def test_a_dynamic_reference_with_one_anchor_is_a_reference() -> None:
    schema = {
        "$id": "http://x.y/z",
        "$dynamicAnchor": "node",
        "type": "object",
        "properties": {"child": {"$dynamicRef": "#node"}},
        "additionalProperties": False,
    }
    check(schema, [{}, {"child": {"child": {}}}], [{"child": 1}])


@pytest.mark.parametrize(
    ("schema", "words", "pointer"),
    [
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "undefined", "#/properties/a/$ref"),
        ({"$ref": "#nowhere"}, "undefined", "#/$ref"),
        ({"items": {"$ref": "http://x.y/z.json"}}, "nothing is fetched", "#/items/$ref"),
        ({"$ref": "#"}, "back to itself", "#/$ref"),
        ({"allOf": [{"$ref": "#"}]}, "back to itself", "#"),
    ],
)
def test_references_that_lead_nowhere_are_errors(schema: object, words: str, pointer: str) -> None:
    with pytest.raises(SchemaError, match=words) as caught:
        json_schema(schema)  # type: ignore[arg-type]
    assert caught.value.pointer == pointer


def extended(strict: bool) -> dict[str, Any]:
    """A list of trees, whose nodes are what the outermost `node` on the way says."""
    tree = {
        "$id": "tree",
        "$dynamicAnchor": "node",
        "type": "object",
        "properties": {"v": True, "c": {"items": {"$dynamicRef": "#node"}}},
    }
    strict_tree = {
        "$id": "strict",
        "$dynamicAnchor": "node",
        "$ref": "tree",
        "unevaluatedProperties": False,
    }
    return {
        "$id": "https://example.org/root",
        "$ref": "strict" if strict else "tree",
        "$defs": {"a": tree, "b": strict_tree},
    }


def test_a_dynamic_reference_means_the_outermost_anchor_on_the_way() -> None:
    nested, misspelt = {"v": 1, "c": [{"v": 2}]}, {"v": 1, "c": [{"w": 2}]}
    check(extended(strict=False), [nested, misspelt], [{"c": [1]}])
    check(extended(strict=True), [nested], [misspelt, {"w": 1}])


def test_a_recursive_reference_means_the_outermost_schema_that_may_be_extended() -> None:
    tree = {
        "$id": "tree",
        "$recursiveAnchor": True,
        "type": "object",
        "properties": {"v": True, "c": {"items": {"$recursiveRef": "#"}}},
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$id": "https://example.org/root",
        "$recursiveAnchor": True,
        "$ref": "tree",
        "maxProperties": 1,
        "$defs": {"tree": tree},
    }
    check(schema, [{"c": [{"v": 2}]}], [{"c": [{"v": 2, "c": []}]}, {"c": [1]}])
