"""What a canvas promises beside right verdicts."""

from __future__ import annotations

import random

import numpy as np
import pytest

from guided.errors import InputError
from guided.grammars.canvas import GAP, MASKED, CanvasLimits, Slot, Verdict
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.lark import lark, sample
from guided.grammars.vocabulary import Vocabulary

TOKENS = [bytes((byte,)) for byte in b'{}[]":,a1 true'] + [
    b'":',
    b'{"',
    b'"}',
    b"true",
    b'", "',
    b"aa",
]
STOP = len(TOKENS)
VOCABULARY = Vocabulary.from_tokens([*TOKENS, None, None], [STOP])
JSON = sample("json").grammar()
TEXT = b'{"aa": [1, true], "a": {"t": "a"}}'


def ids(text: bytes) -> list[int]:
    return VOCABULARY.encode(text)


@pytest.fixture(scope="module")
def schema() -> Grammar:
    return json_schema(
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "aa": {"type": "string"}},
            "required": ["a", "aa"],
        }
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_valid_text_can_be_written_in_any_order(seed: int) -> None:
    tokens = ids(TEXT)
    canvas = JSON.canvas(VOCABULARY, len(tokens) + 3)
    order = list(range(len(tokens)))
    random.Random(seed).shuffle(order)
    for slot in order:
        assert canvas.check(slot, tokens[slot]) is Verdict.YES
        after = canvas.fix({slot: tokens[slot]})
        assert after is not None
        canvas = after
    assert canvas.check(len(tokens), STOP) is Verdict.YES


def test_with_one_trailing_hole_it_is_the_incremental_engine() -> None:
    state = JSON.start(VOCABULARY)
    slots = 12
    for place, token in enumerate(ids(b'{"a":[1,')):
        prefix: list[Slot] = [*ids(b'{"a":[1,')[:place], *[MASKED] * (slots - place)]
        canvas = JSON.canvas(VOCABULARY, [*prefix[:place], GAP])
        tight = JSON.canvas(VOCABULARY, prefix)
        for candidate in range(VOCABULARY.size):
            after = JSON.canvas(VOCABULARY, [*prefix[:place], candidate, GAP]).verdict
            if candidate == STOP:
                assert (tight.check(place, STOP) is Verdict.YES) == state.is_accepting
            else:
                assert (after is Verdict.YES) == state.accepts(candidate)
                # Twelve slots are enough for whatever begins with these tokens.
                assert tight.check(place, candidate) is after
        assert canvas.verdict is Verdict.YES
        following = state.advance(token)
        assert following is not None
        state = following


def test_the_mask_has_the_tokens_that_are_not_impossible(schema: Grammar) -> None:
    canvas = schema.canvas(VOCABULARY, 24)
    for slot in (0, 1, 20):
        mask = canvas.mask(slot)
        assert mask.dtype == np.int32
        assert mask.shape == (VOCABULARY.n_words,)
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little")[: VOCABULARY.size]
        verdicts = canvas.check_many(slot, range(VOCABULARY.size))
        assert (bits.astype(bool) == (verdicts != Verdict.NO)).all()


def test_a_rejection_and_a_fix_change_nothing(schema: Grammar) -> None:
    canvas = schema.canvas(VOCABULARY, 24)
    before = canvas.slots, canvas.mask(0).tolist(), canvas.mask(5).tolist()
    assert canvas.fix({0: TOKENS.index(b"]")}) is None
    assert canvas.fix({0: TOKENS.index(b'{"')}) is not None
    assert (canvas.slots, canvas.mask(0).tolist(), canvas.mask(5).tolist()) == before


def test_fixing_tokens_only_forbids(schema: Grammar) -> None:
    rng = random.Random(0)
    canvas = schema.canvas(VOCABULARY, 20)
    while any(slot is MASKED for slot in canvas.slots):
        slot = rng.choice([i for i, s in enumerate(canvas.slots) if s is MASKED])
        probe = rng.choice([i for i, s in enumerate(canvas.slots) if s is MASKED])
        before = canvas.check_many(probe, range(VOCABULARY.size)) == Verdict.YES
        allowed = np.flatnonzero(canvas.check_many(slot, range(VOCABULARY.size)) == Verdict.YES)
        after = canvas.fix({slot: int(rng.choice(allowed.tolist()))})
        assert after is not None
        assert after.verdict is Verdict.YES
        if after.slots[probe] is MASKED:
            now = after.check_many(probe, range(VOCABULARY.size)) == Verdict.YES
            assert not (now & ~before).any()
        canvas = after
    stops = [i for i, slot in enumerate(canvas.slots) if slot == STOP]
    text = canvas.slots[: stops[0]] if stops else canvas.slots
    assert schema.accepts(VOCABULARY.decode([int(t) for t in text if isinstance(t, int)]))


@pytest.mark.parametrize("words", [0, 2000, 20_000, 200_000])
def test_tiny_limits_are_never_wrong(words: int) -> None:
    tokens = ids(TEXT)
    rng = random.Random(words)
    limits = CanvasLimits(words=words, inner_positions=words // 1000)
    for _ in range(12):
        slots: list[Slot] = [t if rng.random() < 0.5 else MASKED for t in tokens]
        if rng.random() < 0.5:
            slots[rng.randrange(len(slots))] = rng.randrange(STOP)
        full = JSON.canvas(VOCABULARY, slots).verdict
        assert JSON.canvas(VOCABULARY, slots, limits=limits).verdict in (full, Verdict.UNKNOWN)


def test_a_stop_token_ends_the_text_where_nothing_fixed_follows() -> None:
    quote, one = TOKENS.index(b'"'), TOKENS.index(b"1")
    assert JSON.canvas(VOCABULARY, [one, STOP, quote]).verdict is Verdict.YES
    assert JSON.canvas(VOCABULARY, [quote, STOP]).verdict is Verdict.NO
    assert JSON.canvas(VOCABULARY, [quote, MASKED, STOP]).verdict is Verdict.YES
    canvas = JSON.canvas(VOCABULARY, [one, MASKED, MASKED, one, MASKED])
    assert canvas.check(1, STOP) is Verdict.NO
    assert canvas.check(4, STOP) is Verdict.YES
    ended = JSON.canvas(VOCABULARY, [one, STOP, MASKED])
    assert ended.check(2, STOP) is Verdict.YES
    assert ended.check(2, one) is Verdict.NO


def test_a_canvas_that_is_too_short_says_how_long_it_must_be(schema: Grammar) -> None:
    shortest = next(n for n in range(30) if schema.canvas(VOCABULARY, n).verdict is Verdict.YES)
    assert shortest > 5
    for slots in (1, 3, shortest - 1):
        canvas = schema.canvas(VOCABULARY, slots)
        assert canvas.verdict is Verdict.NO
        assert canvas.fits is not None
        assert shortest <= canvas.fits
    assert schema.canvas(VOCABULARY, 30).fits == shortest


def test_completions_hold_the_fixed_fragments(schema: Grammar) -> None:
    fragment = ids(b'"aa')
    slots: list[Slot] = [*[MASKED] * 6, *fragment, *[MASKED] * 16]
    completion = schema.canvas(VOCABULARY, slots).completion()
    assert completion is not None
    assert completion.fits
    assert schema.accepts(completion.data)
    assert completion.tokens[6 : 6 + len(fragment)] == fragment
    short = schema.canvas(VOCABULARY, [*fragment, MASKED])
    assert short.completion() is None
    tight = schema.canvas(VOCABULARY, [MASKED, *fragment, MASKED])
    assert tight.verdict is Verdict.NO
    longer = tight.completion()
    assert longer is not None
    assert not longer.fits
    assert schema.accepts(longer.data)
    assert b'"aa' in longer.data


def test_contradictory_fixed_text_is_impossible(schema: Grammar) -> None:
    canvas = schema.canvas(VOCABULARY, [TOKENS.index(b"]"), GAP])
    assert canvas.verdict is Verdict.NO
    assert canvas.check_many(0, [0, 1]).tolist() == [Verdict.NO, Verdict.NO]
    assert canvas.completion() is None
    assert canvas.fits is None


def test_a_token_that_spells_nothing_is_impossible() -> None:
    assert JSON.canvas(VOCABULARY, [STOP + 1, MASKED]).verdict is Verdict.NO
    assert JSON.canvas(VOCABULARY, 4).check(0, STOP + 1) is Verdict.NO


def test_a_long_token_is_judged_as_a_short_one() -> None:
    long, other, end = 0, 1, 2
    vocabulary = Vocabulary.from_tokens([b"a" * 200, b"x" * 300, b"b", None], [3])
    grammar = lark('start: /a+/ "b"')
    canvas = grammar.canvas(vocabulary, [MASKED, end])
    assert canvas.check_many(0, [long, other]).tolist() == [Verdict.YES, Verdict.NO]
    completion = canvas.completion()
    assert completion is not None
    assert completion.tokens == [long, end]
    gap = grammar.canvas(vocabulary, [GAP, MASKED, end])
    assert gap.check(1, long) is Verdict.YES
    assert gap.check(1, other) is not Verdict.YES


def test_bad_slots_and_tokens_are_refused() -> None:
    with pytest.raises(InputError, match="slot 1 holds token 99"):
        JSON.canvas(VOCABULARY, [MASKED, 99])
    canvas = JSON.canvas(VOCABULARY, [MASKED, GAP])
    with pytest.raises(InputError, match="token -1"):
        canvas.check(0, -1)
    with pytest.raises(InputError, match="slot 1 is a gap"):
        canvas.check(1, 0)
    with pytest.raises(IndexError, match="no slot 2"):
        canvas.fix({2: 0})


@pytest.mark.parametrize("seed", range(12))
def test_answers_do_not_depend_on_what_was_asked_before(schema: Grammar, seed: int) -> None:
    # Canvases share tables with what they come from: here they are asked in turns.
    rng = random.Random(seed)
    grammar, text = [(JSON, TEXT), (schema, b'{"a":1,"aa":"a"}')][seed % 2]
    tokens = ids(text)
    canvases = [grammar.canvas(VOCABULARY, len(tokens) + 1)]
    answers = set()
    for _ in range(30):
        canvas = rng.choice(canvases)
        open_slots = [i for i, slot in enumerate(canvas.slots[:-1]) if slot is MASKED]
        chosen = rng.sample(open_slots, min(len(open_slots), rng.choice([1, 3])))
        after = canvas.fix({slot: tokens[slot] for slot in chosen})
        assert after is not None
        assert after.verdict is Verdict.YES
        if MASKED in after.slots[:-1]:
            canvases.append(after)
        canvas = rng.choice(canvases)
        slot = rng.choice([i for i, slot in enumerate(canvas.slots) if slot is MASKED])
        token = rng.choice([STOP, rng.randrange(STOP), tokens[min(slot, len(tokens) - 1)]])
        fresh = grammar.canvas(VOCABULARY, list(canvas.slots))
        assert canvas.check(slot, token) is fresh.check(slot, token), (canvas.slots, slot, token)
        answers.add(fresh.check(slot, token))
    assert answers >= {Verdict.YES, Verdict.NO}


def test_the_verdict_of_masks_alone_is_kept_for_each_length_and_limit(schema: Grammar) -> None:
    lengths = range(4, 24)
    before = [schema.canvas(VOCABULARY, n).verdict for n in lengths]
    assert set(before) == {Verdict.YES, Verdict.NO}
    assert [schema.canvas(VOCABULARY, n).verdict for n in lengths] == before
    tiny = schema.canvas(VOCABULARY, 23, limits=CanvasLimits(words=0))
    assert tiny.verdict is Verdict.UNKNOWN
    assert schema.canvas(VOCABULARY, [*[MASKED] * 22, GAP]).verdict is Verdict.YES
    stopped = schema.canvas(VOCABULARY, [*[MASKED] * 5, STOP, *[MASKED] * 20])
    assert stopped.verdict is Verdict.NO


def test_words_behind_a_space_of_a_large_vocabulary_are_proven() -> None:
    letters = "abcdefghijklmnopqrst"
    words = [(a + b + c).encode() for a in letters for b in letters for c in letters]
    tokens = [b"   ", b" x", b"\n", b"def", b" f", b"():\n", *words]
    vocabulary = Vocabulary.from_tokens([*tokens, None], [len(tokens)])
    slots = [3, 4, 5, 0, MASKED, 2]  # def f():\n, three spaces, a mask, the end of the line
    canvas = sample("python_subset").grammar().canvas(vocabulary, slots)
    assert canvas.check(4, 1) is Verdict.YES
