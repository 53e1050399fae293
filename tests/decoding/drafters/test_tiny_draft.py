"""The embedded draft model saves passes of tiny-lm, and changes none of its tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

import guided
from guided.controls import GrammarMask, Temperature
from guided.decoding import Branch, Decoder, Fixed, Greedy, Plain, Sampler, Speculation
from guided.decoding.drafters import DraftModel
from guided.grammars.json_schema import json_schema
from guided.model import Model

MODELS = Path(__file__).resolve().parents[3] / "examples" / "models"
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
TEXTS = ["My name is Mira Sol and I am 34.", "Bert Wood is 51 years old.", "Anna, 27, paints."]


@pytest.fixture(scope="module")
def models() -> tuple[Model, Model]:
    return guided.load(str(MODELS / "tiny-lm")), guided.load(str(MODELS / "tiny-draft"))


def said(large: Model, sampler: Sampler, speculation: Speculation | None) -> list[Branch]:
    prompts = [
        large.encode(f"{text}\nFields: name (string), age (integer)\nJSON: ") for text in TEXTS
    ]
    decoder = Decoder(large.network, large.vocabulary, sampler, speculation=speculation)
    controls = [[Temperature(0.8), GrammarMask(json_schema(SCHEMA))]] * len(prompts)
    branches = decoder.open(prompts, controls, seed=1, max_new_tokens=48)
    decoder.extend(branches)
    return branches


@pytest.mark.parametrize("sampler", [Greedy(), Plain()], ids=["greedy", "sampled"])
def test_tokens_are_the_same_in_fewer_passes(models: tuple[Model, Model], sampler: Sampler) -> None:
    large, small = models
    drafter = DraftModel(small, large.vocabulary)
    plain = said(large, sampler, None)
    guessed = said(large, sampler, Speculation([drafter], policy=Fixed(6)))
    assert [branch.tokens for branch in guessed] == [branch.tokens for branch in plain]
    assert sum(b.passes for b in guessed) < 0.7 * sum(b.passes for b in plain)
    assert drafter.usage.passes > 0
