"""Large schemas: only what is used is compiled, and long lists mean what they say."""

from __future__ import annotations

import json

import pytest

from guided.errors import UnsupportedSchemaError
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.json_schema.layout import Whitespace
from guided.grammars.json_schema.normal import MAX_ALTERNATIVES

MANY = MAX_ALTERNATIVES + 4


def accepts(grammar: Grammar, value: object) -> bool:
    return grammar.accepts(json.dumps(value).encode())


def test_definitions_that_nothing_uses_are_not_looked_at() -> None:
    unused = {"pattern": "(?<=a)b", "not": {"uniqueItems": True}}
    definitions = {
        f"d{i}": {
            "properties": {f"p{j}": {"$ref": f"#/$defs/d{i + 1}"} for j in range(8)},
            **unused,
        }
        for i in range(500)
    }
    definitions["used"] = {"properties": {"n": {"type": "integer"}, "next": {"$ref": "#"}}}
    schema = {"$defs": definitions, "type": "object", "$ref": "#/$defs/used"}
    grammar = json_schema(json.dumps(schema))
    assert len(grammar.spec.rules) < 10
    assert accepts(grammar, {"n": 1, "next": {"n": 2}})
    assert not accepts(grammar, {"n": 1, "next": {"n": "2"}})
    assert not accepts(grammar, {"n": 1, "next": 3})
    with pytest.raises(UnsupportedSchemaError):
        json_schema(json.dumps({**schema, "$ref": "#/$defs/d499"}))


def test_every_string_of_a_long_list_and_no_other() -> None:
    words = [f"{i * 7919 % 20011:x}-{i}" for i in range(20_000)]
    grammar = json_schema(json.dumps({"properties": {"a": {"enum": words}}}))
    for word in (*words[::997], words[-1]):
        assert accepts(grammar, {"a": word})
        assert not accepts(grammar, {"a": word + "0"})
        assert not accepts(grammar, {"a": word[:-1] + "x"})


def mixed() -> list[object]:
    """Many arrays and objects, and one value of every other kind."""
    pairs: list[object] = [[i, {"n": f"n{i}"}] for i in range(MANY // 2)]
    return [*pairs, *({"k": i, "l": [i]} for i in range(MANY // 2)), "word", 12, 0.5, None, True]


@pytest.mark.parametrize(
    ("whitespace", "usual", "tight"),
    [("flexible", True, True), ("compact", False, True), ("spaced", True, False)],
)
def test_a_long_list_of_mixed_values(whitespace: Whitespace, usual: bool, tight: bool) -> None:
    values = mixed()
    grammar = json_schema(json.dumps({"enum": values}), whitespace=whitespace)
    for value in (*values[::501], *values[-6:]):
        nested = isinstance(value, (list, dict))
        text, dense = json.dumps(value), json.dumps(value, separators=(",", ":"))
        assert grammar.accepts(text.encode()) == (usual or not nested)
        assert grammar.accepts(dense.encode()) == (tight or not nested)
    for value in ([MANY, {"n": f"n{MANY}"}], [0, {"n": "n1"}], {"k": 1, "l": [2]}, "wor", 1, False):
        assert not accepts(grammar, value)


def test_a_long_list_of_mixed_values_beside_a_type() -> None:
    grammar = json_schema({"type": ["array", "string"], "enum": mixed()})
    assert accepts(grammar, [1, {"n": "n1"}])
    assert accepts(grammar, "word")
    assert not accepts(grammar, {"k": 1, "l": [1]})
    assert not accepts(grammar, 12)


@pytest.mark.parametrize(
    "beside",
    [
        {"maxItems": 1},
        {"not": {"type": "object", "required": ["k"]}},
        {"dependentSchemas": {"k": False}, "type": "object"},
        {"unevaluatedProperties": False},
    ],
)
def test_conditions_beside_a_long_list_of_mixed_values_are_refused(
    beside: dict[str, object],
) -> None:
    with pytest.raises(UnsupportedSchemaError):
        json_schema({"enum": mixed(), **beside})


def test_what_a_long_list_is_not_part_of_is_written() -> None:
    grammar = json_schema({"not": {"enum": mixed()}, "type": ["string", "null"]})
    assert accepts(grammar, "words")
    assert not accepts(grammar, "word")
    assert not accepts(grammar, None)
