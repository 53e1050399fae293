"""Grammars meet automata as brute force says, and the witnesses are shortest."""

from __future__ import annotations

import random

import pytest

from guided.errors import EmptyGrammarError, InputError
from guided.grammars.canvas import ByteNfa, Verdict
from guided.grammars.grammar import Grammar
from guided.grammars.ir import Alt, Expr, GrammarSpec, Ref, Seq
from guided.grammars.lark import lark
from tests.grammars.random_grammars import text, words_of

LONGEST = 7


def two_letter_grammar(rng: random.Random) -> GrammarSpec:
    """Three or four rules of seven or eight right-hand sides of at most two symbols over a, b."""
    names = ["S", "A", "B", "C"][: rng.choice([3, 4])]
    sides: dict[str, list[Expr]] = {name: [] for name in names}

    def symbol() -> Expr:
        return Ref(rng.choice(names)) if rng.random() < 0.55 else text(rng.choice([b"a", b"b"]))

    for _ in range(rng.choice([7, 8])):
        parts = tuple(symbol() for _ in range(rng.choice([0, 1, 1, 2, 2, 2])))
        sides[rng.choice(names)].append(Seq(parts))
    return GrammarSpec({name: Alt(tuple(found)) for name, found in sides.items()}, "S")


def random_automaton(rng: random.Random) -> ByteNfa:
    """Fragments with holes, or edges drawn at random."""
    if rng.random() < 0.6:
        fragments = [
            bytes(rng.choice(b"ab") for _ in range(rng.choice([0, 1, 2])))
            for _ in range(rng.choice([1, 2, 3]))
        ]
        return ByteNfa.with_holes(fragments)
    states = rng.choice([2, 3, 4])
    edges = tuple(
        (rng.randrange(states), frozenset(rng.choice([b"a", b"b", b"ab"])), rng.randrange(states))
        for _ in range(rng.randint(1, 6))
    )
    return ByteNfa(states, edges, frozenset({0}), frozenset({rng.randrange(states)}))


@pytest.mark.parametrize("block", range(6))
def test_emptiness_agrees_with_enumeration_and_witnesses_are_shortest(block: int) -> None:
    checked = meeting = seed = 0
    while checked < 510:
        seed += 1
        rng = random.Random(f"{block} {seed}")
        spec = two_letter_grammar(rng)
        try:
            grammar = Grammar(spec)
        except EmptyGrammarError:
            continue
        words = words_of(spec, LONGEST)
        for _ in range(6):
            checked += 1
            nfa = random_automaton(rng)
            lengths = [len(word) for word in words if nfa.accepts(word)]
            witness = grammar.shortest_witness(nfa)
            if lengths:
                assert witness is not None
                assert len(witness) == min(lengths)
            if witness is not None:
                assert nfa.accepts(witness)
                assert grammar.accepts(witness)
                meeting += 1
            wanted = Verdict.NO if witness is None else Verdict.YES
            assert grammar.intersects(nfa) is wanted
    assert 100 < meeting < checked


def test_a_search_that_is_cut_off_says_unknown() -> None:
    grammar = lark('start: "(" start ")" | "x"')
    nfa = ByteNfa.with_holes([b"(((", b")))"])
    assert grammar.intersects(nfa) is Verdict.YES
    answers = {grammar.intersects(nfa, most_steps=steps) for steps in range(200)}
    assert answers <= {Verdict.UNKNOWN, Verdict.YES}
    assert Verdict.UNKNOWN in answers


def test_an_empty_fragment_leaves_an_end_open() -> None:
    assert ByteNfa.with_holes([b"a", b""]).accepts(b"abc")
    assert not ByteNfa.with_holes([b"a"]).accepts(b"abc")
    assert ByteNfa.with_holes([b"", b"c"]).accepts(b"abc")


def test_an_automaton_with_a_missing_state_is_refused() -> None:
    with pytest.raises(InputError, match="no state 3"):
        ByteNfa(2, ((0, frozenset(b"a"), 3),), frozenset({0}), frozenset({1}))
    with pytest.raises(InputError, match="bytes"):
        ByteNfa(2, ((0, frozenset({300}), 1),), frozenset({0}), frozenset({1}))
