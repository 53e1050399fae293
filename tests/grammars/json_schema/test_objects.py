"""Members: names, order, counts, patterns, dependencies."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from guided.errors import UnsupportedSchemaError
from guided.grammars.json_schema import json_schema
from guided.grammars.vocabulary import Vocabulary
from tests.grammars.json_schema.checking import check

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}


def test_required_members_must_be_there_and_others_may() -> None:
    check(
        PERSON,
        [{"name": "x"}, {"name": "x", "age": 3}, {"name": "x", "zip": [1]}],
        [{}, {"age": 3}, {"name": 1}, {"name": "x", "age": "3"}],
    )


def test_members_come_in_the_order_of_the_schema() -> None:
    check(PERSON, [b'{"name":"x","age":1}'], [b'{"age":1,"name":"x"}', b'{"z":1,"name":"x"}'])


def test_any_order_is_allowed_on_request_and_each_name_once() -> None:
    check(
        PERSON,
        [b'{"age":1,"name":"x"}', b'{"z":1,"name":"x"}'],
        [b'{"age":1}', b'{"name":"x","name":"y"}'],
        property_order="any",
    )


def test_names_given_by_several_schemas_have_no_order() -> None:
    schema = {
        "allOf": [
            {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string"}}, "required": ["b"]},
        ]
    }
    check(schema, [b'{"a":1,"b":"x"}', b'{"b":"x","a":1}'], [b'{"a":1}', b'{"a":"x","b":"x"}'])


def test_additional_properties_have_their_schema_and_never_a_known_name() -> None:
    schema = PERSON | {"additionalProperties": {"type": "boolean"}}
    check(
        schema,
        [{"name": "x", "nam": True, "names": False}],
        [{"name": "x", "z": 1}, b'{"name":"x","name":true}', b'{"name":"x","n\\u0061me":true}'],
    )
    check(PERSON | {"additionalProperties": False}, [{"name": "x"}], [{"name": "x", "z": 1}])


def test_required_names_without_properties_are_members_too() -> None:
    check(
        {"type": "object", "required": ["b", "a"], "additionalProperties": {"type": "integer"}},
        [{"b": 1, "a": 2}, {"a": 2, "b": 1}, {"c": 0, "a": 1, "b": 2}],
        [{"a": 1}, {"a": 1, "b": "x"}],
    )


def test_patterns_divide_the_names() -> None:
    schema = {
        "type": "object",
        "patternProperties": {"^x": {"type": "integer"}, "y$": {"minimum": 5}},
        "additionalProperties": {"type": "null"},
    }
    check(
        schema,
        [{"x": 1, "xy": 7, "zy": 6, "z": None}, {"zy": "s"}],
        [{"x": "1"}, {"xy": 3}, {"zy": 1}, {"z": 1}],
    )


def test_patterns_also_hold_for_named_members() -> None:
    schema = {
        "type": "object",
        "properties": {"foo": {"minimum": 3}},
        "patternProperties": {"f.o": {"type": "integer", "maximum": 5}},
        "additionalProperties": False,
    }
    check(schema, [{"foo": 4}, {"fzo": 1}], [{"foo": 2}, {"foo": 6}, {"foo": 3.5}, {"bar": 1}])


def test_property_names_restrict_known_and_unknown_names() -> None:
    schema = {
        "type": "object",
        "propertyNames": {"maxLength": 2},
        "properties": {"abc": {}, "ab": {}},
    }
    check(schema, [{"ab": 1}, {"x": 1}, {}], [{"abc": 1}, {"wxyz": 1}])


def test_members_are_counted() -> None:
    named = {"a": {"type": "integer"}, "b": {"type": "integer"}, "c": {"type": "integer"}}
    check(
        {"type": "object", "properties": named, "additionalProperties": False, "minProperties": 2},
        [{"a": 1, "c": 1}],
        [{}, {"b": 1}],
    )
    check({"type": "object", "maxProperties": 1}, [{}, {"x": 1}], [{"x": 1, "y": 2}])
    check({"type": "object", "minProperties": 1}, [{"x": 1}], [{}])


def test_a_repeated_name_does_not_count_twice() -> None:
    schema = {"type": "object", "properties": {"a": {}}, "minProperties": 2}
    check(schema, [{"a": 1, "x": 2}], [b'{"x":1,"x":2}', {"a": 1}])


def test_dependent_members_follow_their_trigger() -> None:
    for keyword in ("dependentRequired", "dependencies"):
        check(
            {"type": "object", "properties": {"a": {}, "b": {}}, keyword: {"a": ["b"]}},
            [{}, {"b": 1}, {"a": 1, "b": 2}],
            [{"a": 1}],
        )
    for keyword in ("dependentSchemas", "dependencies"):
        check(
            {
                "type": "object",
                "properties": {"a": {}, "b": {}},
                keyword: {"a": {"properties": {"b": {"type": "integer"}}}},
            },
            [{"b": "x"}, {"a": 1}, {"a": 1, "b": 2}],
            [{"a": 1, "b": "x"}],
        )


def test_unevaluated_properties_are_those_that_no_chosen_branch_names() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {}},
        "anyOf": [
            {"properties": {"b": {"const": 1}}, "required": ["b"]},
            {"properties": {"c": {"const": 1}}, "required": ["c"]},
        ],
        "unevaluatedProperties": False,
    }
    check(
        schema,
        [{"a": 0, "b": 1}, {"c": 1}, {"b": 1, "c": 1}],
        [{"b": 1, "x": 1}, {"b": 1, "c": 2}, {}],
    )


def test_names_are_written_with_the_escapes_that_json_needs() -> None:
    check(
        {"type": "object", "properties": {'q"\\\n': {"const": 1}}, "additionalProperties": False},
        [{'q"\\\n': 1}],
        [b'{"q":1}'],
    )


def test_a_list_of_objects_as_enum() -> None:
    check(
        {"enum": [{"a": 1}, {"a": 2, "b": []}]},
        [{"a": 1}, {"a": 2, "b": []}],
        [{"a": 2}, {"a": 1, "b": []}],
    )


def test_names_that_are_few_are_told_apart_where_members_are_counted() -> None:
    schema = {"type": "object", "minProperties": 2}
    check(
        schema | {"propertyNames": {"enum": ["a", "b", "c"]}},
        [{"a": 1, "b": 2}, {"c": 1, "a": 2}],
        [{"a": 1}, {"a": 1, "d": 1}, b'{"a":1,"a":2}'],
    )
    check(
        schema | {"patternProperties": {"^[ab]$": {"const": 1}}, "additionalProperties": False},
        [{"b": 1, "a": 1}],
        [{"a": 1}, {"a": 1, "b": 2}, {"a": 1, "c": 1}, b'{"a":1,"a":1}'],
    )


def test_members_of_unknown_names_may_be_asked_for_and_stand_anywhere() -> None:
    def some(pattern: str) -> dict[str, Any]:
        return {"not": {"propertyNames": {"not": {"pattern": pattern}}}}

    check(
        {"type": "object", "allOf": [some("a"), some("b")]},
        [{"ab": 1}, {"a": 1, "b": 2}, {"c": 0, "b": 1, "a": 2, "d": 3}, {"ab": 1, "ab2": 2}],
        [{"a": 1}, {"b": 1, "c": 1}, {}],
    )
    one = {"type": "object", "allOf": [some("a"), some("b")], "maxProperties": 1}
    check(one, [{"ab": 1}], [{"a": 1, "b": 2}, {"a": 1}])


def test_a_value_that_must_exist_is_not_replaced_by_what_follows() -> None:
    some_text = {"not": {"patternProperties": {"^a": {"type": "integer"}}}}
    check(
        {"type": "object"} | some_text,
        [{"a": "x"}, {"a": "x", "b": 1}, {"a": 1, "ab": "x"}, {"a": "x", "ab": "y"}],
        [{}, {"a": 1}, {"b": "x"}, b'{"a":"x","a":1}'],
    )
    two = [{"not": {"patternProperties": {name: {"type": "integer"}}}} for name in ("^a", "^b")]
    check(
        {"type": "object", "allOf": two},
        [{"a": "x", "b": "y"}, {"c": 1, "b": "y", "a": "x", "d": 2}],
        [{"a": "x"}, {"a": "x", "ab": "y"}, b'{"b":"x","a":"y","b":1}'],
    )


@pytest.mark.parametrize("required", [[], ["a"]])
def test_free_names_count_once_wherever_they_stand(required: list[str]) -> None:
    listed = {"properties": {"a": {}, "b": {}}, "required": required, "minProperties": 2}
    check(
        {"type": "object"} | listed,
        [{"a": 1, "b": 2}, {"x": 1, "a": 2}, {"x": 1, "y": 2, "a": 3}, {"a": 1, "x": 2}],
        [{"a": 1}, {"x": 1}, b'{"x":1,"x":2}', {}],
        property_order="any",
    )


def test_names_are_divided_by_the_patterns_that_they_must_not_match() -> None:
    digits = {"patternProperties": {"^[0-9]+x$": {"type": "integer"}}, "minProperties": 1}
    letters = {"patternProperties": {"^[a-z][a-z]$": {"type": "integer"}}, "minProperties": 1}
    closed = {"type": "object", "additionalProperties": False}
    check(
        {"allOf": [closed | digits, {"not": closed | letters}]},
        [{"1x": 1}, {"1x": 1, "22x": 2}],
        [{"ab": 1}, {"1x": "a"}, {}],
    )
    check(
        {"oneOf": [closed | digits, closed | letters]},
        [{"1x": 1, "2x": 2}, {"ab": 1}],
        [{"1x": 1, "ab": 2}, {}],
    )


def test_members_of_any_name_that_exclude_one_another_are_refused() -> None:
    values = [{"not": {"additionalProperties": {"not": {"const": v}}}} for v in ("x", "y")]
    with pytest.raises(UnsupportedSchemaError, match="exclude one another") as caught:
        json_schema({"type": "object", "allOf": values})
    assert (caught.value.keyword, caught.value.pointer) == ("properties", "#")


@pytest.mark.parametrize("order", ["schema", "any"])
@pytest.mark.parametrize(
    "name", ["free text", "[ of distinct items", "[ of items that may run out: [1]"]
)
def test_names_that_rules_use_for_themselves_are_names_like_others(
    name: str, order: Literal["schema", "any"]
) -> None:
    schema = {"properties": {name: {"type": "integer"}, "b": {}}, "required": [name]}
    grammar = json_schema(schema, property_order=order)
    assert not grammar.has_distinct_items
    text = json.dumps({name: 1, "b": [2, 2]}).encode()
    assert grammar.accepts(text)
    vocabulary = Vocabulary.from_tokens([bytes([byte]) for byte in range(128)], stop_ids=[0])
    state = grammar.start(vocabulary)
    for byte in text[: text.index(name.encode()) + 1]:
        following = state.advance(byte)
        assert following is not None
        state = following
    assert not state.in_free_text
