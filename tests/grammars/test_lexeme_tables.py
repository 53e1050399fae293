"""Pooled tables of terminals, against automata made one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from guided.grammars.automata import Dfa, Others, Words, literals, without
from guided.grammars.json_schema.emit_objects import _any_key
from guided.grammars.json_schema.layout import layout
from guided.grammars.json_schema.quoting import quoted_word
from guided.grammars.lexeme_tables import lexeme_tables
from guided.grammars.terminal_tables import Automaton, terminal_tables
from guided.kernels.memo_arrays import (
    DFA,
    FAR,
    FARTHEST,
    FIRST,
    NEAREST,
    OFFSET,
    PLAIN,
    SURVIVE,
    WIDTH,
)

names = st.text('ab"\\\n\xe9\u4e2d\u8a9e\U0001f600', max_size=4)
listed = st.lists(st.binary(max_size=4), min_size=1, max_size=6)


def pooled(dfas: Sequence[Dfa | None]) -> list[Automaton]:
    """The tables of each, taken out of the pool."""
    arrays = lexeme_tables([(dfa, PLAIN, -1) for dfa in dfas])
    found = []
    for number in arrays["lexeme"][:, DFA]:
        first, past = arrays["dfa"][[number, number + 1], FIRST]
        begin, end = arrays["dfa"][[number, number + 1], OFFSET]
        table = arrays["trans"][begin:end].reshape(-1, arrays["dfa"][number, WIDTH])
        facts, live = arrays["fact"][first:past], arrays["live"][first:past]
        assert len(table) == len(facts)
        found.append(Automaton(table, arrays["columns"][number], facts, live))
    assert (arrays["lexeme"][:, FARTHEST] >= [a.distance.max() for a in found]).all()
    return found


def assert_alike(made: Automaton, expected: Automaton) -> None:
    """Every state of `made` has the facts of the state of `expected` that equals it."""
    like = {0: 0}
    waiting = [0]
    while waiting:
        state = waiting.pop()
        mine, theirs = made.fact[state], expected.fact[like[state]]
        assert (mine[:SURVIVE] == theirs[:SURVIVE]).all()
        assert (mine[SURVIVE:] <= theirs[SURVIVE:]).all()
        assert (made.live[state] == expected.live[like[state]]).all()
        for byte in range(256):
            target = int(made.transitions[state, made.classes[byte]])
            twin = int(expected.transitions[like[state], expected.classes[byte]])
            assert (target < 0) == (twin < 0)
            if target >= 0 and target not in like:
                like[target] = twin
                waiting.append(target)
            if target >= 0:
                assert like[target] == twin


@given(st.lists(listed, min_size=1, max_size=4))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_words_are_pooled_as_their_minimal_automata(groups: list[list[bytes]]) -> None:
    groups = [words for words in groups if set(words) != {b""}] or [[b"a"]]
    dfas = [literals(words) for words in groups]
    for made, words in zip(pooled([None, *dfas])[1:], groups, strict=True):
        expected = terminal_tables(literals(set(words) - {b""}))
        assert_alike(made, expected)
        assert len(made.fact) == len(expected.fact)


@given(st.lists(st.lists(names, min_size=1, max_size=5), min_size=1, max_size=3))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_other_keys_are_pooled_like_the_difference(groups: list[list[str]]) -> None:
    spaces = layout("flexible")
    base = _any_key(spaces)
    texts = [[quoted_word(n) + colon for n in group for colon in (b":", b": ")] for group in groups]
    dfas = [without(base, words) for words in texts]
    assert all(isinstance(dfa, Others) for dfa in dfas)
    for made, words in zip(pooled(dfas), texts, strict=True):
        expected = terminal_tables(base - literals(words))
        assert_alike(made, expected)
        # All names but some may go on with any characters, in one slice or another.
        opened = made.transitions[0, made.classes[ord('"')]]
        assert (made.fact[opened, SURVIVE:] > 0).all()


def test_a_word_that_the_language_has_not_is_no_way_on() -> None:
    base = literals([b"x"]).repeat(1)
    (made,) = pooled([without(base, [b"xx", b"xy"])])
    assert_alike(made, terminal_tables(base - literals([b"xx"])))


def test_words_know_what_their_tables_would_tell() -> None:
    for words in ([b""], [b"", b"ab"], [b"b", b"ab"]):
        dfa = literals(words)
        assert isinstance(dfa, Words)
        known = (dfa.is_empty(), dfa.accepts_empty(), dfa.is_finite(), dfa.longest_length())
        assert "transitions" not in vars(literals(words))
        made = Dfa(dfa.transitions, dfa.classes, dfa.accepting)
        assert made == dfa
        told = (made.is_empty(), made.accepts_empty(), made.is_finite(), made.longest_length())
        assert known == told


def test_the_empty_word_is_left_to_the_rules() -> None:
    (made,) = pooled([literals([b"", b"ab"])])
    assert not made.accepting[0]
    assert made.fact[0, NEAREST] == 2
    assert made.fact.shape == (3, 6)
    (nothing,) = pooled([literals([b""])])
    assert nothing.fact[0, NEAREST] == FAR
    assert not np.any(nothing.live)
