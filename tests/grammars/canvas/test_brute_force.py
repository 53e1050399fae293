"""Verdicts of small canvases equal those of trying every filling."""

from __future__ import annotations

import random
from functools import cache

import pytest

from guided.errors import GuidedError
from guided.grammars.canvas import GAP, MASKED, Canvas, Slot, Verdict
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.lark import lark, sample
from guided.grammars.vocabulary import Vocabulary
from tests.grammars.canvas.canvas_oracle import can_be_filled
from tests.grammars.random_grammars import random_spec

POOL = [b"a", b"b", b"c", b",", b"ab", b"ca", b"a,", b",b", b"abc", b"bb", b"a,b"]


def agreed(canvas: Canvas, grammar: Grammar) -> bool:
    """Whether some filling is accepted; the verdicts of the canvas and of every check say so."""
    vocabulary, slots = canvas.vocabulary, list(canvas.slots)

    @cache
    def accepts(text: bytes) -> bool:
        return grammar.accepts(text)

    wanted = can_be_filled(slots, vocabulary, accepts)
    assert canvas.verdict is (Verdict.YES if wanted else Verdict.NO), slots
    end = next((i for i, s in enumerate(slots) if s in vocabulary.stop_ids), len(slots))
    text_end = max((i + 1 for i in range(end) if slots[i] is not MASKED), default=0)
    for slot in (i for i, s in enumerate(slots) if s is MASKED):
        for token in range(vocabulary.size):
            changed = [*slots[:slot], token, *slots[slot + 1 :]]
            if slot >= end:
                allowed = wanted and token in vocabulary.stop_ids
            else:
                cut_off = token in vocabulary.stop_ids and slot < text_end
                allowed = not cut_off and can_be_filled(changed, vocabulary, accepts)
            verdict = canvas.check(slot, token)
            assert verdict is (Verdict.YES if allowed else Verdict.NO), (slots, slot, token)
    return wanted


def random_slots(rng: random.Random, size: int, longest: int) -> list[Slot]:
    return [
        MASKED if rng.random() < 0.6 else rng.randrange(size)
        for _ in range(rng.randint(1, longest))
    ]


@pytest.mark.parametrize("block", range(4))
def test_random_grammars_agree_with_all_fillings(block: int) -> None:
    fillable = 0
    for seed in range(150 * block, 150 * (block + 1)):
        rng = random.Random(seed)
        spec = random_spec(rng)
        try:
            grammar = Grammar(spec)
        except GuidedError:
            continue
        tokens = rng.sample(POOL, rng.randint(2, 5))
        stop_ids = [len(tokens)] if rng.random() < 0.8 else []
        vocabulary = Vocabulary.from_tokens([*tokens, None], stop_ids)
        for _ in range(2):
            slots = random_slots(rng, vocabulary.size, 3)
            fillable += agreed(grammar.canvas(vocabulary, slots), grammar)
    assert fillable > 20


def small_grammars() -> dict[str, tuple[Grammar, list[bytes]]]:
    lists = {"type": "array", "items": {"enum": [1, "a"]}, "maxItems": 2}
    person = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "string", "maxLength": 2}},
        "required": ["b"],
        "additionalProperties": False,
    }
    return {
        "nested": (
            lark('start: "(" start ")" start | "x" | "(" ")"'),
            [b"(", b")", b"x", b"()", b")(", b"((", b"))", b")x"],
        ),
        "left recursion": (
            lark('start: start "+" term | term\nterm: "1" | "(" start ")"'),
            [b"1", b"+", b"(", b")", b"1+", b"+(", b"1)", b")+"],
        ),
        "json": (
            sample("json").grammar(),
            [b'"', b":", b"{", b"}", b"1", b'":', b'{"', b',"', b"]"],
        ),
        "array": (
            json_schema(lists),
            [b"[", b"]", b"1", b'"a"', b",", b', "', b'a"', b"1,", b'"]'],
        ),
        "object": (
            json_schema(person),
            [b'{"', b'b"', b":", b'"', b"}", b'"}', b': "', b"x", b'b": "', b'a": 1', b', "'],
        ),
        "free order": (
            json_schema(person, property_order="any"),
            [b'{"', b'b": "', b'a": ', b"1", b', "', b'"}', b'"', b"}", b"1}"],
        ),
    }


@pytest.mark.parametrize("name", small_grammars())
def test_small_grammars_agree_with_all_fillings(name: str) -> None:
    grammar, tokens = small_grammars()[name]
    vocabulary = Vocabulary.from_tokens([*tokens, None], [len(tokens)])
    rng = random.Random(name)
    for _ in range(6):
        agreed(grammar.canvas(vocabulary, random_slots(rng, vocabulary.size, 4)), grammar)
    agreed(grammar.canvas(vocabulary, 3), grammar)


@pytest.mark.parametrize("seed", range(3))
def test_gaps_agree_with_fillings_of_any_length(seed: int) -> None:
    found = 0
    for number in range(100 * seed, 100 * (seed + 1)):
        rng = random.Random(number)
        try:
            grammar = Grammar(random_spec(rng))
        except GuidedError:
            continue
        vocabulary = Vocabulary.from_tokens([b"a", b"b", b"c", b",", None], [4])
        slots: list[Slot] = [rng.choice([GAP, MASKED, 0, 1, 3]) for _ in range(rng.randint(1, 4))]
        filled = can_be_filled(
            slots, vocabulary, cache(grammar.accepts), 3 if len(slots) < 4 else 2
        )
        verdict = grammar.canvas(vocabulary, slots).verdict
        # A filling that was found proves more than that none was found.
        assert verdict is Verdict.YES or not filled, (number, slots)
        if verdict is Verdict.YES and not filled:
            completed = grammar.canvas(vocabulary, slots).completion()
            assert completed is not None
            assert grammar.accepts(completed.data)
        found += filled
    assert found > 10
