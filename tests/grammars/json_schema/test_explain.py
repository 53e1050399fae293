"""What `explain` tells."""

from __future__ import annotations

import pytest

from guided.errors import SchemaError
from guided.grammars.json_schema import explain

SCHEMA = {
    "type": "object",
    "title": "T",
    "properties": {
        "mail": {"type": "string", "format": "email"},
        "kind": {"type": "string", "format": "grid", "x-order": 3},
        "tags": {"type": "array", "items": {"type": "string"}, "not": {"uniqueItems": True}},
    },
    "required": ["mail"],
}


def test_every_keyword_is_listed_with_its_fate() -> None:
    fates = {(e.pointer, e.keyword): e.status for e in explain(SCHEMA)}
    assert fates["#", "required"] == "enforced"
    assert fates["#", "title"] == "annotation"
    assert fates["#/properties/mail", "format"] == "enforced"
    assert fates["#/properties/kind", "format"] == "annotation"
    assert fates["#/properties/kind", "x-order"] == "annotation"
    assert fates["#/properties/tags", "not"] == "unsupported"


def test_what_is_not_enforced_has_a_reason() -> None:
    (entry,) = explain(SCHEMA).unsupported
    assert entry.keyword == "not"
    assert "uniqueItems" in entry.note


def test_an_explanation_prints_as_a_table() -> None:
    lines = str(explain(SCHEMA)).splitlines()
    assert any(
        "#/properties/mail" in line and "format" in line and "email" in line for line in lines
    )
    assert str(explain(True)) == "nothing is asserted: every JSON document is valid"


def test_an_invalid_schema_is_an_error_here_too() -> None:
    with pytest.raises(SchemaError):
        explain({"type": 3})
