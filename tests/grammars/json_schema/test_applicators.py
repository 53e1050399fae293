"""allOf, anyOf, oneOf, not, if: intersections, unions and differences of what schemas allow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grammars.json_schema.checking import check


def test_all_of_is_the_intersection() -> None:
    check({"allOf": [{"type": "integer"}, {"minimum": 3}, {"maximum": 5}]}, [3, 5], [2, 6, 3.5])
    check(
        {"allOf": [{"pattern": "^a"}, {"pattern": "b$"}], "type": "string"},
        ["ab", "axb"],
        ["a", "b"],
    )


def test_siblings_of_any_of_hold_in_every_branch() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    }
    check(schema, [{"a": 1}, {"b": 1}, {"a": 1, "b": 2}], [{}, {"a": "x"}, {"b": 1, "a": "x"}])


def test_one_of_excludes_what_two_branches_allow() -> None:
    check({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, [1, 2.5, "a"], [3, 1.5])
    check({"oneOf": [{"type": "string"}, {"type": "string"}, {"type": "null"}]}, [None], ["a"])
    check(
        {"type": "string", "oneOf": [{"maxLength": 3}, {"pattern": "^a"}]},
        ["bc", "abcd"],
        ["abc", "bcde"],
    )


def test_one_of_with_required_names_excludes_both() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    }
    check(schema, [{"a": "x"}, {"b": "x"}], [{}, {"a": "x", "b": "x"}])


def test_one_of_with_a_discriminator_is_a_union() -> None:
    def branch(kind: str, member: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"kind": {"const": kind}, "x": member},
            "required": ["kind", "x"],
        }

    schema = {"oneOf": [branch("n", {"type": "integer"}), branch("s", {"type": "string"})]}
    check(
        schema,
        [{"kind": "n", "x": 1}, {"kind": "s", "x": "a"}],
        [{"kind": "s", "x": 1}, {"kind": "n"}],
    )


def test_one_of_closed_objects_excludes_what_fits_both() -> None:
    schema = {
        "oneOf": [
            {
                "type": "object",
                "properties": {name: {"type": "integer"}},
                "additionalProperties": False,
            }
            for name in "ab"
        ]
    }
    check(schema, [{"a": 1}, {"b": 1}], [{}, {"a": 1, "b": 1}, {"c": 1}])


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"type": "integer"}, ["a", 1.5, None, [], {}], [1, 0]),
        ({"enum": [1, "a", None, [1]]}, [2, "b", True, [2], [1, 1]], [1, "a", None, [1]]),
        ({"minimum": 3}, [2, 2.5], [3, "a", None]),
        ({"pattern": "^a"}, ["b", ""], ["a", 3]),
        ({"required": ["a"]}, [{}, {"b": 1}], [{"a": 1}, 3]),
        (
            {"properties": {"a": {"type": "integer"}}},
            [{"a": "x"}, {"a": None, "b": 1}],
            [{}, {"a": 1}, 3],
        ),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            [3, {"x": "a"}],
            [{}, {"x": 1}],
        ),
        ({"items": {"type": "integer"}}, [["a"], [1, "a"]], [[], [1], 3]),
        ({"minItems": 2}, [[], [1]], [[1, 2], "a"]),
        ({"contains": {"const": 1}}, [[], [2]], [[1], [2, 1], 3]),
        ({"multipleOf": 2}, [1, 3], [2, 4, "a"]),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, [1, []], ["a", None]),
        ({"not": {"type": "string"}}, ["a"], [1]),
        ({"propertyNames": {"pattern": "^a"}}, [{"b": 1}], [{"a": 1}, {}]),
    ],
)
def test_not_is_the_complement(
    schema: dict[str, Any], valid: list[Any], invalid: list[Any]
) -> None:
    check({"not": schema}, valid, invalid)


def test_if_chooses_between_then_and_else() -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["a", "b"]}, "x": {}},
        "required": ["kind"],
        "if": {"properties": {"kind": {"const": "a"}}},
        "then": {"required": ["x"], "properties": {"x": {"type": "integer"}}},
        "else": {"properties": {"x": {"type": "string"}}},
    }
    check(
        schema,
        [{"kind": "a", "x": 1}, {"kind": "b"}, {"kind": "b", "x": "s"}],
        [{"kind": "a"}, {"kind": "a", "x": "s"}, {"kind": "b", "x": 1}],
    )


def test_branches_that_cannot_be_completed_are_dropped() -> None:
    check(
        {
            "anyOf": [
                {"type": "object", "required": ["a"], "properties": {"a": False}},
                {"type": "null"},
            ]
        },
        [None],
        [{}, {"a": 1}, b"{"],
    )
