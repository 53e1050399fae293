"""Scalars that are kept between schemas: the same texts, and nothing unsaid."""

from __future__ import annotations

import pytest

from guided.grammars.json_schema import UnsupportedKeywordWarning, explain, json_schema
from guided.grammars.json_schema import kept_scalars as kept


def texts(schema: dict[str, object], *candidates: bytes, **options: str) -> list[bytes]:
    grammar = json_schema(schema, **options)  # type: ignore[arg-type]
    return [text for text in candidates if grammar.accepts(text)]


def test_equal_scalars_of_two_schemas_are_one_expression() -> None:
    one = json_schema({"properties": {"a": {"type": "integer", "minimum": 3, "title": "A"}}})
    other = json_schema({"items": {"type": "integer", "minimum": 3}})
    for grammar, text in ((one, b'{"a":%d}'), (other, b"[%d]")):
        assert grammar.accepts(text % 3)
        assert not grammar.accepts(text % 2)


@pytest.mark.parametrize(
    ("keyword", "yes", "no"), [(True, b"true", b"1"), (1, b"1", b"true"), (1.5, b"1.5", b"1")]
)
def test_values_that_python_calls_equal_are_told_apart(
    keyword: object, yes: bytes, no: bytes
) -> None:
    schema = {"properties": {"a": {"const": keyword}}}
    assert texts(schema, b'{"a":' + yes + b"}", b'{"a":' + no + b"}") == [b'{"a":' + yes + b"}"]


def test_options_and_drafts_do_not_mix() -> None:
    schema = {"items": {"type": "string", "format": "date"}}
    odd = b'["x"]'
    assert texts(schema, odd) == []
    assert texts(schema, odd, formats="ignore") == [odd]
    assert texts(schema, odd) == []
    numbers = {"items": {"type": "integer", "maximum": 9}}
    assert texts(numbers, b"[1.0]") == []
    assert texts(numbers, b"[1.0]", numbers="any") == [b"[1.0]"]
    bound = {"items": {"type": "integer", "minimum": 1, "exclusiveMinimum": True}}
    draft4 = {"$schema": "http://json-schema.org/draft-04/schema#", **bound}
    assert texts(draft4, b"[1]", b"[2]") == [b"[2]"]


def test_what_is_only_warned_of_is_warned_of_each_time() -> None:
    schema = {"items": {"type": "string", "pattern": "(a)\\1"}}
    for _ in range(2):
        with pytest.warns(UnsupportedKeywordWarning):
            json_schema(schema, on_unsupported="warn")


def test_explanations_see_all_of_a_schema() -> None:
    schema = {"items": {"type": "string", "maxLength": 7}}
    json_schema(schema)
    assert "#/items" in str(explain(schema))


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_KEPT", 4)
    for limit in range(20):
        json_schema({"items": {"type": "string", "maxLength": 100 + limit}})
    assert all(len(one) <= 2048 for one in kept._kept.values())
    assert min(len(one) for one in kept._kept.values() if one) <= 4
