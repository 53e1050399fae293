"""Items: leading ones, the rest, counts, uniqueness, contains."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grammars.json_schema.checking import check


def test_every_item_has_the_schema_of_items() -> None:
    check({"type": "array", "items": {"type": "integer"}}, [[], [1], [1, 2, 3]], [["a"], [1, "a"]])


@pytest.mark.parametrize(
    "schema",
    [
        {"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "null"}},
        {"items": [{"type": "string"}, {"type": "integer"}], "additionalItems": {"type": "null"}},
    ],
)
def test_leading_items_have_schemas_of_their_own(schema: dict[str, Any]) -> None:
    check(
        schema | {"type": "array"},
        [[], ["a"], ["a", 1], ["a", 1, None, None]],
        [[1], ["a", "b"], ["a", 1, 2]],
    )


def test_leading_items_and_counts_hold_together() -> None:
    schema = {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": {"const": 3}}
    check(
        schema | {"minItems": 1, "maxItems": 3}, [[1], [1, 2], [1, 2, 3]], [[], [1, 2, 3, 3], [2]]
    )
    check(schema | {"minItems": 4}, [[1, 2, 3, 3]], [[1, 2, 3]])
    check(schema | {"items": False}, [[], [1, 2]], [[1, 2, 3]])


def test_items_are_counted_without_unrolling() -> None:
    check(
        {"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 1000},
        [[1, 1], [1] * 1000],
        [[1], [1] * 1001],
    )


def test_unique_items_of_a_finite_list_come_at_most_once() -> None:
    schema = {"type": "array", "items": {"enum": ["a", "b", 1]}, "uniqueItems": True}
    check(schema, [[], ["a"], [1, "a", "b"], ["b", "a"]], [["a", "a"], [1, 1], ["c"]])
    check(schema | {"minItems": 2, "maxItems": 2}, [["a", "b"]], [["a"], ["a", "b", 1]])


def test_unique_items_need_no_memory_where_positions_differ() -> None:
    schema = {
        "type": "array",
        "uniqueItems": True,
        "prefixItems": [{"type": "string"}, {"type": "integer"}],
        "items": False,
    }
    check(schema, [["a", 1], ["a"]], [[1, 1]])


def test_contains_counts_the_items_that_match() -> None:
    schema = {"type": "array", "contains": {"type": "integer"}}
    check(schema, [[1], ["a", 1, None]], [[], ["a"]])
    check(schema | {"minContains": 2, "maxContains": 2}, [[1, 2], [1, "a", 2]], [[1], [1, 2, 3]])
    check(schema | {"minContains": 0}, [[], ["a"]], [{}])
    check(
        schema | {"maxItems": 2, "items": {"type": ["integer", "null"]}},
        [[None, 1]],
        [[None, None], [None, None, 1]],
    )


def test_unevaluated_items_are_those_behind_the_leading_ones() -> None:
    schema = {
        "type": "array",
        "allOf": [{"prefixItems": [{"type": "integer"}]}],
        "unevaluatedItems": False,
    }
    check(schema, [[], [1]], [[1, 2], ["a"]])


def test_items_that_contains_matches_are_evaluated() -> None:
    schema = {"contains": {"type": "string"}, "minContains": 0, "unevaluatedItems": False}
    check(schema, [[], ["a"], ["a", "b"]], [[1], ["a", 1]])
    two = {
        "allOf": [{"contains": {"multipleOf": 2}}, {"contains": {"multipleOf": 3}}],
        "unevaluatedItems": {"multipleOf": 5},
    }
    check(two, [[2, 3, 5], [6], [2, 4, 9, 25]], [[2, 3, 7], [2, 5], [3, 5]])


def test_contains_evaluates_nothing_in_2019() -> None:
    draft = "https://json-schema.org/draft/2019-09/schema"
    check(
        {"$schema": draft, "contains": {"type": "string"}, "unevaluatedItems": False}, [], [["a"]]
    )
