"""What cannot be enforced is refused by name, and bad input is a clear error in bounded time."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest

from guided.errors import (
    GrammarTooLargeError,
    InputError,
    SchemaError,
    UnsatisfiableSchemaError,
    UnsupportedSchemaError,
)
from guided.grammars.json_schema import UnsupportedKeywordWarning, json_schema
from guided.grammars.json_schema.budget import Budget
from guided.grammars.json_schema.compile import specification
from guided.grammars.json_schema.report import Report

# Whether such objects are enough for two that differ is not worked out.
PAIRS: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"a": {"type": "boolean"}},
        "required": ["a"],
        "additionalProperties": False,
    },
    "uniqueItems": True,
    "minItems": 2,
}


@pytest.mark.parametrize(
    ("schema", "keyword", "pointer"),
    [
        (PAIRS, "uniqueItems", "#"),
        ({"properties": {"a": PAIRS}}, "uniqueItems", "#/properties/a"),
        ({"properties": {"p": {"pattern": r"(a|b)\1+"}}}, "pattern", "#/properties/p"),
        ({"pattern": r"(a)\1"}, "pattern", "#"),
        ({"patternProperties": {r"(a|b)\1+": {}}}, "patternProperties", "#"),
        ({"type": "integer", "multipleOf": 123457}, "multipleOf", "#"),
        ({"type": "object", "minProperties": 3}, "properties", "#"),
        ({"not": {"uniqueItems": True}}, "not", "#"),
        ({"contains": {"type": "null"}, "minContains": 4000}, "contains", "#"),
        ({"type": "string", "pattern": "^[ab]+$", "minLength": 10**8}, "pattern", "#"),
        ({"$schema": "https://example.com/our-own", "type": "null"}, "$schema", "#"),
    ],
)
def test_refusals_name_the_keyword_and_the_place(schema: Any, keyword: str, pointer: str) -> None:
    with pytest.raises(UnsupportedSchemaError) as caught:
        json_schema(schema)
    assert (caught.value.keyword, caught.value.pointer) == (keyword, pointer)
    assert keyword in str(caught.value)


def test_a_refusal_may_be_turned_into_a_warning() -> None:
    schema = {**PAIRS, "items": {**PAIRS["items"], "properties": {"a": {"enum": ["a", 1]}}}}
    with pytest.warns(UnsupportedKeywordWarning, match="uniqueItems at # is not enforced"):
        grammar = json_schema(schema, on_unsupported="warn")
    assert grammar.accepts(b'[{"a": 1}, {"a": 1}]')
    assert not grammar.accepts(b"[]")
    assert not grammar.accepts(b'[{"a": 1}, {"a": 2}]')


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "strin"}, "#/type"),
        ({"properties": {"a": {"minimum": "3"}}}, "#/properties/a/minimum"),
        ({"required": "a"}, "#/required"),
        ({"properties": []}, "#/properties"),
        ({"maxLength": -1}, "#/maxLength"),
        ({"pattern": 3}, "#/pattern"),
        ({"anyOf": []}, "#/anyOf"),
        ({"enum": 3}, "#/enum"),
        ({"multipleOf": 0}, "#/multipleOf"),
        ({"items": 3}, "#/items"),
        ({"uniqueItems": 1, "type": "array"}, "#/uniqueItems"),
        ({"allOf": [{"not": 1}]}, "#/allOf/0/not"),
        ({"properties": {"a/b~": {"type": 1}}}, "#/properties/a~1b~0/type"),
    ],
)
def test_invalid_schemas_are_errors_with_a_pointer(schema: Any, pointer: str) -> None:
    with pytest.raises(SchemaError) as caught:
        json_schema(schema)
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"enum": [1, 2], "minimum": 3},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
        {"type": "string", "pattern": "^a+$", "enum": ["b"]},
        {"type": "string", "allOf": [{"pattern": "^a"}, {"pattern": "^b"}]},
        {"enum": []},
        {"type": "array", "minItems": 1, "items": False},
        {"type": "object", "minProperties": 1, "additionalProperties": False},
    ],
)
def test_schemas_without_a_document_are_errors(schema: Any) -> None:
    with pytest.raises(UnsatisfiableSchemaError):
        json_schema(schema)


def test_text_that_is_not_json_is_an_error_with_line_and_column() -> None:
    with pytest.raises(SchemaError, match="line 2, column 3"):
        json_schema('{"type":\n  }')
    with pytest.raises(SchemaError, match="NaN"):
        json_schema('{"minimum": NaN}')
    assert json_schema('{"const": 1}').accepts(b"1")


@pytest.mark.parametrize("schema", [{"minimum": float("nan")}, {"const": b"x"}, {1: 2}, 3, None])
def test_values_that_json_has_not_are_errors(schema: Any) -> None:
    with pytest.raises(SchemaError):
        json_schema(schema)


def nested(levels: int, keyword: str) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {keyword: schema}
    return schema


@pytest.mark.parametrize("keyword", ["items", "not", "additionalProperties", "if"])
def test_nesting_without_end_is_an_error(keyword: str) -> None:
    with pytest.raises(GrammarTooLargeError):
        json_schema(nested(10_000, keyword))
    with pytest.raises(GrammarTooLargeError):
        json_schema('{"not":' * 100_000 + "{}" + "}" * 100_000)


def test_deep_nesting_works() -> None:
    assert json_schema(nested(300, "items")).accepts(b"[" * 300 + b"1" + b"]" * 300)


OVERLAPPING = [{"properties": {f"a{i}": {"type": "string"}}} for i in range(60)]


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": [f"value {i}" for i in range(100_000)]},
        {"enum": [{"a": i} for i in range(10_000)]},
        {"oneOf": OVERLAPPING},
        {
            "allOf": [
                {"anyOf": [{"required": [f"a{i}"]}, {"required": [f"b{i}"]}]} for i in range(40)
            ]
        },
        {"pattern": "(a{1000}){1000}"},
        {"patternProperties": {f"x{i}": {"minimum": i} for i in range(30)}},
        {"type": "string", "maxLength": 10**9, "minLength": 10**8},
        {"type": "array", "maxItems": 10**9, "items": {"type": "integer"}},
        {"minimum": 1e308},
        {"multipleOf": 1e-300},
        {"multipleOf": 10**300},
        {
            "properties": {
                f"p{i}": {"type": "object", "properties": {"a": {"minimum": i}}}
                for i in range(2000)
            }
        },
    ],
    ids=lambda schema: next(iter(schema)),
)
def test_large_schemas_compile_or_are_refused_in_bounded_time(schema: Any) -> None:
    start = time.thread_time()
    with suppress(GrammarTooLargeError, UnsupportedSchemaError, UnsatisfiableSchemaError):
        assert specification(schema, Report("error")).rules
    assert time.thread_time() - start < 15


def test_the_budget_ends_in_an_error_that_names_the_limit() -> None:
    with pytest.raises(GrammarTooLargeError, match="more than 10 steps"):
        Budget(steps=10).spend(11)
    spent = Budget(seconds=0.0)
    with pytest.raises(GrammarTooLargeError, match="seconds"):
        spent.spend(1000)


def test_every_error_is_an_input_error() -> None:
    assert issubclass(UnsupportedSchemaError, InputError)


def test_what_is_left_out_is_no_proof_that_nothing_is_valid() -> None:
    never = {"type": "integer", "minimum": 1, "maximum": 2, "multipleOf": 3}
    schema = {"type": "object", "properties": {"id": never}, "minProperties": 2}
    with pytest.raises(UnsupportedSchemaError, match="might repeat one name"):
        json_schema(schema, property_order="any")
    with pytest.raises(UnsatisfiableSchemaError):
        json_schema({**schema, "minProperties": 1, "required": ["id"]}, property_order="any")
