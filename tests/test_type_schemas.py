"""Types whose JSON Schema pydantic gives loosely are valid under a random model all the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, Field, HttpUrl, TypeAdapter

import guided
from guided.grammars.json_schema import json_schema
from guided.testing import tiny_model
from guided.type_schemas import TypeJsonSchema


class Order(BaseModel):
    price: Decimal = Field(gt=0, le=100)
    tags: set[str]
    page: HttpUrl


@pytest.mark.parametrize("kind", [Decimal, complex, set[int], frozenset[str], HttpUrl, Order])
def test_what_a_random_model_writes_passes_the_validator(kind: Any) -> None:
    results = guided.run(tiny_model(), "x", schema=kind, n=5, temperature=1.5, max_new_tokens=80)
    for result in results:
        assert isinstance(result.value, getattr(kind, "__origin__", kind))


@pytest.mark.parametrize(
    ("kind", "accepted", "rejected"),
    [
        (HttpUrl, ["http://a.com", "https://x.example.org:80/a/b.html?q=1%20#top"],
         ["ftp://a.com", "http://", "http://-a.com", "a.com", "http://a.com/%zz"]),
        (complex, ["1+2j", "-1.5", "3-2.25j"], ["j+1", "1+j2", "abc"]),
    ],
)  # fmt: skip
def test_texts_of_a_type(kind: Any, accepted: list[str], rejected: list[str]) -> None:
    adapter = TypeAdapter(kind)
    grammar = json_schema(adapter.json_schema(schema_generator=TypeJsonSchema))
    for text in accepted:
        assert grammar.accepts(f'"{text}"'.encode())
        adapter.validate_python(text)
    for text in rejected:
        assert not grammar.accepts(f'"{text}"'.encode())


def test_a_set_with_a_least_size_has_as_many_different_items() -> None:
    kind = TypeAdapter(set[int]).json_schema(schema_generator=TypeJsonSchema)
    assert "uniqueItems" not in kind

    class Three(BaseModel):
        items: set[int] = Field(min_length=3)

    grammar = json_schema(TypeAdapter(Three).json_schema(schema_generator=TypeJsonSchema))
    assert grammar.accepts(b'{"items": [1, 2, 3]}')
    assert not grammar.accepts(b'{"items": [1, 2, 2]}')
    assert not grammar.accepts(b'{"items": [1, 2, 2, 3]}')
