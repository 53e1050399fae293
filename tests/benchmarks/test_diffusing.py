"""The benchmark of masked-diffusion decoding: questions are scored exactly, the clock counts."""

import json

import pytest
from harness.diffusing.accelerators import KINDS, WAYS, decoded
from harness.diffusing.constraints import Clock, TimedFilling, grammar_of, outcome
from harness.diffusing.programs import SLOTS, writer
from harness.diffusing.tasks import is_of, questions

import guided
from guided.diffusion import FastDLLM, LLaDA

MODEL = "examples/models/tiny-diffusion"


@pytest.fixture(scope="module")
def model(pytestconfig: pytest.Config) -> guided.Model:
    return guided.load(str(pytestconfig.rootpath / MODEL))


@pytest.mark.parametrize("kind", KINDS)
def test_questions_are_the_same_for_the_same_seed_and_have_a_grammar(kind: str) -> None:
    first, again, other = (questions(kind, 3, seed) for seed in (1, 1, 2))
    assert [one.prompt for one in first] == [one.prompt for one in again]
    assert [one.prompt for one in first] != [one.prompt for one in other]
    assert all(grammar_of(one) is not None for one in first)
    assert not first[0].is_right("[]")


def test_an_object_is_valid_with_exactly_its_fields() -> None:
    schema = {"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}
    assert is_of(json.dumps({"a": 1, "b": "x"}), schema)
    for wrong in ('{"a": 1}', '{"a": true, "b": "x"}', '{"a": 1, "b": 2}', "{", "[]"):
        assert not is_of(wrong, schema)


def test_schemas_hold_and_what_they_cost_is_counted(model: guided.DiffusionModel) -> None:
    asked = questions("json", 2, seed=4)
    held = outcome(model, LLaDA(steps=1), asked, constrained=True)
    assert held.valid == 100
    assert held.clock.checks
    assert held.clock.total >= sum(held.clock.checks)
    free = outcome(model, LLaDA(steps=1), asked, constrained=False)
    assert not free.clock.checks


def test_programs_are_valid_and_held_to_the_grammar(model: guided.DiffusionModel) -> None:
    network, asked = writer(model, 1)
    held = outcome(network, FastDLLM(threshold=0.9), asked, constrained=True)
    assert held.valid == 100
    assert held.clock.checks
    [question] = asked
    assert question.is_valid("int f() { return 0; }")
    assert not question.is_valid("int f() { return }")
    assert question.slots == SLOTS


def test_ways_decode_every_question(model: guided.DiffusionModel) -> None:
    asked = questions("copy", 2, seed=1)
    for way in (WAYS["LLaDA()"], WAYS["FreeDave(d=4)"]):
        assert [len(each.canvas) for each in decoded(model, way, asked)] == [16, 16]


def test_a_clock_counts_checks_apart_from_the_rest() -> None:
    class Nothing:
        def check(self, slot: int, token: int) -> str:
            return "yes"

        def fix(self, tokens: object) -> None:
            return None

    clock = Clock()
    filling = TimedFilling(Nothing(), clock)
    assert filling.check(0, 1) == "yes"
    assert filling.fix({0: 1}) is None
    assert len(clock.checks) == 1
