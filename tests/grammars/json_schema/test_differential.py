"""Random schemas against the `jsonschema` package, both ways; and the laws of the algebra."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import pytest

from guided.errors import InputError, UnsatisfiableSchemaError, UnsupportedSchemaError
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.json_schema.compile import specification
from guided.grammars.json_schema.report import Report
from tests.grammars.json_schema.schemas import DOCUMENTS, schema
from tests.grammars.json_schema.words import Sampler

REPEATED = ['{"a":1,"a":"a"}', '{"c":"a","c":1}', '{"c":"a","d":1,"c":2}', '{"ab":1,"ab":"b"}']
TEXTS = [json.dumps(document) for document in DOCUMENTS]
# Objects with two members of unknown name, and objects whose only wrong member is not the last, are
# valid documents that the grammar may leave out.
MAY_BE_LEFT_OUT = {text for text in TEXTS if text.startswith("{") and text.count(":") > 1}


def compiled(one: Any, **options: Any) -> Grammar | None:
    try:
        return json_schema(one, **options)
    except UnsupportedSchemaError:
        return None


@pytest.mark.parametrize("block", range(8))
def test_random_schemas_agree_with_jsonschema_on_small_documents(block: int) -> None:
    decided = 0
    for seed in range(block * 100, block * 100 + 100):
        one = schema(random.Random(seed), depth=2)
        validator = jsonschema.Draft202012Validator(one)
        valid = {text for text in TEXTS + REPEATED if validator.is_valid(json.loads(text))}
        try:
            grammar = compiled(one, property_order="any")
        except UnsatisfiableSchemaError:
            assert not valid, one
            continue
        if grammar is None:
            continue
        decided += 1
        for text in TEXTS + REPEATED:
            if grammar.accepts(text.encode()):
                assert text in valid, (seed, one, text)
            elif text not in MAY_BE_LEFT_OUT and text not in REPEATED:
                assert text not in valid, (seed, one, text)
    assert decided > 50


@pytest.mark.parametrize("block", range(4))
def test_every_word_of_a_random_schema_is_valid(block: int) -> None:
    words = 0
    for seed in range(5000 + block * 150, 5000 + block * 150 + 150):
        rng = random.Random(seed)
        one = schema(rng, depth=2)
        order = rng.choice(["schema", "any"])
        try:
            spec = specification(one, Report("error"), property_order=order)  # type: ignore[arg-type]
        except InputError:
            continue
        validator = jsonschema.Draft202012Validator(one)
        sampler = Sampler(spec, rng)
        # The rules do not say that items differ: the states do.
        differ = "uniqueItems" in json.dumps(one)
        grammar = json_schema(one, property_order=order) if differ else None  # type: ignore[arg-type]
        for _ in range(8):
            word = sampler.word()
            if grammar is not None and not grammar.accepts(word):
                continue
            words += 1
            assert validator.is_valid(json.loads(word)), (seed, one, word)
    assert words > 300


@pytest.mark.parametrize("block", range(4))
def test_the_algebra_keeps_the_laws_of_sets(block: int) -> None:
    rng = random.Random(block)
    for _ in range(25):
        a, b = schema(rng, depth=1), schema(rng, depth=1)
        pairs = [
            ({"allOf": [a, b]}, {"allOf": [b, a]}),
            ({"not": {"anyOf": [a, b]}}, {"allOf": [{"not": a}, {"not": b}]}),
            (
                {"oneOf": [a, b]},
                {"anyOf": [{"allOf": [a, {"not": b}]}, {"allOf": [b, {"not": a}]}]},
            ),
            ({"not": {"not": a}}, {"allOf": [a]}),
            ({"if": a, "then": b, "else": a}, {"allOf": [a, b]}),
        ]
        for left, right in pairs:
            accepted = [_accepted(left), _accepted(right)]
            if None not in accepted:
                assert accepted[0] == accepted[1], (left, right)


def _accepted(one: Any) -> set[str] | None:
    """The small documents that the grammar accepts, without those it may leave out."""
    try:
        grammar = compiled(one, property_order="any")
    except UnsatisfiableSchemaError:
        return set()
    if grammar is None:
        return None
    return {
        text for text in TEXTS if text not in MAY_BE_LEFT_OUT and grammar.accepts(text.encode())
    }
