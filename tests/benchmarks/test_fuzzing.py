"""A few draws of every part of the fuzz run."""

import json
import random
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("jsonschema")

from harness import models
from harness.fuzzing import both_ways, generations, subjects, walks
from harness.fuzzing.made_schemas import made_schema

from guided.grammars.json_schema import json_schema
from guided.grammars.vocabulary import Vocabulary

DIGITS, WORDS = subjects.of_regex(r"\d{3}-\d{4}"), subjects.of_regex("[a-z]+")
NESTED = subjects.of_grammar("nested", 'start: item+\nitem: "(" start ")" | "x"')
SUBJECTS = (DIGITS, WORDS, NESTED)


def test_random_walks_find_no_fault():
    vocabulary = Vocabulary.from_tokenizer(models.small_tokenizer())
    for number, subject in enumerate(SUBJECTS):
        text, faults = walks.walk(subject, number, vocabulary, seed=1, checks=0.5)
        assert not faults
        assert text is not None
        assert subject.fault(text) is None


def test_walks_notice_a_mask_that_allows_too_much():
    vocabulary = Vocabulary.from_tokenizer(models.small_tokenizer())
    found = walks.mask_faults(
        WORDS.grammar.start(vocabulary),
        DIGITS.grammar.start(walks.BYTES),
        np.random.default_rng(0),
        20,
    )
    assert found


def test_generations_satisfy_their_judges_and_do_not_depend_on_the_batch():
    sources = generations.Sources(seed=1, exact=True)
    drawn = list(generations.draws(SUBJECTS, 8, seed=1))
    for batch in sources.batches(drawn, 4):
        for draw, together, alone in sources.together_and_alone(batch):
            assert together == alone, draw
    for draw, result in sources.generate([d for d in drawn if d.subject.kind == "regex"][:1]):
        assert not isinstance(result, Exception), draw
        assert draw.subject.fault(result.text) is None


def test_made_schemas_hold_both_ways() -> None:
    counts: Counter[str] = Counter()
    for number in range(60):
        found = both_ways.judge(number, seed=7)
        assert found.faults == [], found.source
        counts.update(found.counts)
    assert counts["compiled"] > 40
    assert counts["valid documents"] > 100
    assert counts["invalid documents"] > 100


@pytest.mark.parametrize("wrong", ["true", '{"type": "object", "maxProperties": 0}'])
def test_a_wrong_grammar_is_noticed(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(both_ways, "json_schema", lambda source, **_: json_schema(wrong))
    kinds = {what for number in range(20) for what, _ in both_ways.judge(number, seed=7).faults}
    expected = (
        "an invalid document is accepted" if wrong == "true" else "a valid document is rejected"
    )
    assert expected in kinds


def test_every_keyword_is_made() -> None:
    text = " ".join(json.dumps(made_schema(random.Random(seed))) for seed in range(400))
    keywords = (
        "type enum const minimum exclusiveMaximum multipleOf minLength pattern format items "
        "prefixItems contains uniqueItems minItems unevaluatedItems properties required "
        "additionalProperties patternProperties propertyNames minProperties maxProperties "
        "dependentRequired dependentSchemas unevaluatedProperties allOf anyOf oneOf not if then "
        "else $ref $defs"
    )
    assert [word for word in keywords.split() if f'"{word}"' not in text] == []
