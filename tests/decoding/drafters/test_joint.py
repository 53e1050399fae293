"""A kernel or two draft the very trees that the drafters have when each of them is asked."""

from __future__ import annotations

import random
from typing import Any

import pytest

from guided.controls import BanTokens, GrammarMask
from guided.decoding import Branch, Decoder, Plain
from guided.decoding.drafters import GrammarText, Lookup, Recycling, Structured, Suffix, spell_as
from guided.decoding.drafters.joint import Joint
from guided.decoding.drafters.protocol import Drafter, Request
from guided.decoding.drafts import Draft
from guided.decoding.speculation import Speculation
from guided.grammars.json_schema import json_schema
from guided.testing import tiny_model

MODEL = tiny_model()
SPELL = spell_as(MODEL.tokenizer, MODEL.vocabulary)
STOPS = MODEL.vocabulary.stop_ids
STRING = {"type": "string"}
SCHEMA = {
    "type": "object",
    "properties": {
        "name": STRING,
        "kind": {"enum": ["cat", "car", "dog"]},
        "age": {"type": "integer"},
        "pets": {"type": "array", "items": STRING},
    },
    "required": ["name", "kind", "age", "pets"],
    "additionalProperties": False,
}
PROMPT = 'I am {}, 37, with {}, a {} and {}. I said "{}\\ {}". '
NAMES = ["Wug", "Dax", "Blick", "Anna Lee", "zyx", "fo o", "Wugs"]


def drafters(capacity: int = 1 << 10) -> list[Drafter]:
    grammar = GrammarText(MODEL.vocabulary, SPELL)
    return [
        Structured(grammar, Lookup(MODEL.vocabulary)),
        Suffix(MODEL.vocabulary, capacity=capacity),
    ]


def answers(rng: random.Random) -> tuple[str, str]:
    """A prompt, and an answer that copies much of it."""
    names = [rng.choice(NAMES) for _ in range(6)]
    pets = ", ".join(f'"{name}"' for name in names[1 : rng.randrange(1, 5)])
    comma = rng.choice([", ", ","])
    parts = [
        f'"name": "{names[0]}"',
        f'"kind": "{rng.choice(["cat", "car", "dog"])}"',
        f'"age": {rng.choice([3, 37, 370])}',
        f'"pets": [{pets}]',
    ]
    return PROMPT.format(*names), "{" + comma.join(parts) + "}"


def opened(prompt: str, limit: int | None) -> Branch:
    decoder = Decoder(MODEL.network, MODEL.vocabulary)
    mask = GrammarMask(json_schema(SCHEMA))
    (branch,) = decoder.open([SPELL(prompt.encode())], [[mask]], max_new_tokens=limit)
    return branch


@pytest.mark.parametrize("seed", range(6))
def test_the_trees_are_the_same(seed: int) -> None:
    rng = random.Random(seed)
    # A small pool forgets texts while they are written.
    capacity = rng.choice([1 << 10, 40])
    one, other = Speculation(drafters(capacity)), Speculation(drafters(capacity))
    limit = rng.choice([None, 70])
    nodes = 0
    for _ in range(5):
        prompt, answer = answers(rng)
        branch = opened(prompt, limit)
        said = SPELL(answer.encode())
        while branch.finish_reason is None and said:
            room = rng.choice([1, 5, 31])
            request = Request([branch], [room], Plain())
            joint = drawn(one, branch, room)
            (apart,) = other._merged(request, STOPS, "tree")
            assert joint == apart
            nodes += len(joint)
            for token in said[: rng.randrange(1, 4)]:
                branch.push(token, 0.0, 0.0, STOPS)
                said = said[1:]
        for speculation in (one, other):
            for drafter in speculation.drafters:
                drafter.observe([seen(branch)])
    assert nodes > 200


@pytest.mark.parametrize("seed", range(4))
def test_the_trees_are_the_same_without_a_grammar(seed: int) -> None:
    rng = random.Random(seed)
    capacity = rng.choice([1 << 10, 40])
    one, other = Speculation(drafters(capacity)), Speculation(drafters(capacity))
    nodes = 0
    for limit in (None, 70, 70):
        prompt, answer = answers(rng)
        decoder = Decoder(MODEL.network, MODEL.vocabulary)
        (branch,) = decoder.open([SPELL(prompt.encode())], max_new_tokens=limit)
        said = SPELL(answer.encode())
        while branch.finish_reason is None and said:
            room = rng.choice([1, 5, 31])
            request = Request([branch], [room], Plain())
            joint = drawn(one, branch, room)
            assert joint == other._merged(request, STOPS, "tree")[0]
            nodes += len(joint)
            for token in said[: rng.randrange(1, 4)]:
                branch.push(token, 0.0, 0.0, STOPS)
                said = said[1:]
        for speculation in (one, other):
            for drafter in speculation.drafters:
                drafter.observe([seen(branch)])
    assert nodes > 200


def drawn(speculation: Speculation, branch: Branch, room: int = 31) -> Draft:
    """What the joint drafter has for a branch."""
    assert speculation._joint is not None
    found = speculation._joint.draft(branch, room, STOPS)
    assert found is not None
    return found


def seen(branch: Branch) -> Any:
    from torch import empty

    from guided.decoding.drafters import Observation

    return Observation(branch, branch.tokens[-1:], branch.tokens[-2:-1], empty(0))


def test_forks_go_on_by_themselves() -> None:
    one, other = Speculation(drafters()), Speculation(drafters())
    branch = opened(PROMPT.format(*NAMES), None)
    for token in SPELL(b'{"name": "Wug'):
        branch.push(token, 0.0, 0.0, STOPS)
        request = Request([branch], [31], Plain())
        assert drawn(one, branch) == other._merged(request, STOPS, "tree")[0]
    child = branch.fork(7)
    one.fork(branch, child)
    other.fork(branch, child)
    for token in SPELL(b' Dax", "kind": "c'):
        child.push(token, 0.0, 0.0, STOPS)
        for some in (child, branch):
            request = Request([some], [31], Plain())
            assert drawn(one, some) == other._merged(request, STOPS, "tree")[0]


def test_other_drafters_and_branches_are_asked_one_by_one() -> None:
    assert Joint.of([*drafters(), Recycling(MODEL.vocabulary)]) is None
    assert Joint.of(drafters()[::-1]) is None
    copies = Suffix(MODEL.vocabulary)
    assert Joint.of([Structured(GrammarText(MODEL.vocabulary), copies), copies]) is None
    joint = Joint.of(drafters())
    assert joint is not None
    decoder = Decoder(MODEL.network, MODEL.vocabulary)
    (banned,) = decoder.open([SPELL(b"Wug Wug Wug Wug")], [[BanTokens([7])]])
    assert joint.draft(banned, 31, STOPS) is None
    (draft,) = Speculation(drafters()).drafts([banned], Plain(), STOPS, "tree")
    assert len(draft) > 0
