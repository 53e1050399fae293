"""Tables that begin with little room say what those with much room say."""

from __future__ import annotations

import random

import pytest

from guided.grammars.canvas import GAP, MASKED, Canvas, CanvasLimits, Slot, Verdict
from guided.grammars.canvas.engine import Taken
from guided.grammars.lark import lark, sample
from guided.grammars.vocabulary import Vocabulary

WORDS = [b"int ", b"if", b"for", b"return", b"++", b"();", b"/*", b"*/", b'"', b"aa", b"12"]
TOKENS = [*(bytes((byte,)) for byte in b"aif1 (){}[];,=+<*/"), *WORDS]
STOP = len(TOKENS)
VOCABULARY = Vocabulary.from_tokens([*TOKENS, None], [STOP])
TEXT = b"int f(int a){if(a<12)a++;for(;;)a=aa[i]*12;/*aa*/return a;}"


def _cramped(slots: list[Slot]) -> Canvas:
    """A canvas of a grammar of its own, for which next to no room is made at first."""
    canvas = sample("c_subset").grammar().canvas(VOCABULARY, slots)
    for known in canvas._source.engine.taken.values():
        known.__dict__.update(Taken(left=1, right=1, tails=1, pairs=2, inner=1).__dict__)
    return canvas


def _pairs(canvas: Canvas) -> int:
    """For how many pairs of a state and a set its tables have room."""
    shared = canvas._shared
    return max(
        len(tables.right.pair)
        for tables in (shared.tables, shared.quick)
        if tables is not None and hasattr(tables, "right")
    )


@pytest.mark.parametrize("seed", range(3))
def test_little_room_changes_no_answer(seed: int) -> None:
    rng = random.Random(seed)
    roomy = sample("c_subset").grammar()
    tokens = VOCABULARY.encode(TEXT)
    slots: list[Slot] = [MASKED] * (len(tokens) + 2)
    if seed == 2:
        slots[-1] = GAP
    canvas = _cramped(slots)
    order = rng.sample(range(len(tokens)), len(tokens))
    answers = set()
    for slot in order:
        for token in (rng.randrange(STOP), tokens[slot]):
            found = canvas.check(slot, token)
            assert found is roomy.canvas(VOCABULARY, list(canvas.slots)).check(slot, token)
            answers.add(found)
        after = canvas.fix({slot: tokens[slot]})
        assert after is not None
        canvas = after
    assert answers >= {Verdict.YES, Verdict.NO}
    assert _pairs(canvas) > 16


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("most", range(1, 5))
def test_masks_that_gain_places_inside_of_them_forget_what_was_asked_without(
    most: int, seed: int
) -> None:
    # Only the token "ab" ends one rule and begins the next: it needs a place inside of its slot.
    vocabulary = Vocabulary.from_tokens([b"a", b"ab", b"d", b"e", b"(", b")", None], [6])
    grammar = lark(
        'start: one two\none: "(" one ")" | "a" one | "a"\ntwo: "b" "d" "e" | "(" two ")"'
    )
    limits = CanvasLimits(inner_positions=most)
    canvas = grammar.canvas(vocabulary, [MASKED, MASKED, MASKED, MASKED, 3], limits=limits)
    rng = random.Random(seed)
    text = [0, 0, 1, 2]
    for at in rng.sample(range(4), 4):
        for slot in rng.sample(range(4), 4):
            for token in rng.sample(range(6), 6):
                fresh = grammar.canvas(vocabulary, list(canvas.slots), limits=limits)
                known = {canvas.check(slot, token), fresh.check(slot, token)}
                assert known != {Verdict.YES, Verdict.NO}, (canvas.slots, slot, token)
        after = canvas.fix({at: text[at]})
        assert after is not None
        canvas = after
