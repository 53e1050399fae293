"""The grammar mask keeps sequences inside the grammar and inside the token budget."""

from __future__ import annotations

import pytest

from guided.controls import GrammarMask
from guided.controls.protocol import Context
from guided.errors import BudgetError, DeadEndError
from guided.grammars.choices import choices
from guided.grammars.regex import regex
from guided.grammars.triggers import after
from guided.grammars.vocabulary import Vocabulary
from guided.testing import (
    WordGrammar,
    allowed_tokens,
    check_grammar_laws,
    enumerate_sequences,
    table_model,
)

VOCABULARY = Vocabulary.from_tokens([None, b"a", b"b", b"ab", b"c", b"ca"], [0])


def begin(grammar: object, limit: int | None, **options: object) -> tuple[GrammarMask, object]:
    control = GrammarMask(grammar, **options)
    return control, control.begin(Context((1,), VOCABULARY, limit))


def test_the_reference_grammar_obeys_the_laws() -> None:
    words = [b"abc", b"ca", b"cab", b""]
    check_grammar_laws(WordGrammar(words), VOCABULARY, words, [b"a", b"abca", b"cc"])


def test_the_engine_agrees_with_the_reference_on_choices() -> None:
    model = table_model(tokens=[b"a", b"b", b"ab", b"c", b"ca"])
    words = ["abc", "ca", "cab", "b"]
    compiled = enumerate_sequences(model, [1], [GrammarMask(choices(words))], 5)
    reference = WordGrammar([word.encode() for word in words])
    expected = enumerate_sequences(model, [1], [GrammarMask(reference)], 5)
    assert compiled == pytest.approx(expected)


def test_too_small_a_budget_says_how_many_tokens_suffice() -> None:
    control = GrammarMask(choices(["abcabc"]))
    with pytest.raises(BudgetError, match=r"max_new_tokens=2 is too few.*5 suffice") as caught:
        control.begin(Context((1,), VOCABULARY, 2))
    assert caught.value.needed == 5
    control.begin(Context((1,), VOCABULARY, caught.value.needed))


@pytest.mark.parametrize("limit", [2, 3, 4, 5])
def test_every_sequence_is_complete_within_any_budget(limit: int) -> None:
    model = table_model(tokens=[b"a", b"b", b"ab", b"c", b"ca"], spread=2)
    pattern = regex("a(b|c)*b|(ca)+")
    law = enumerate_sequences(model, [1], [GrammarMask(pattern)], limit)
    assert sum(law.values()) == pytest.approx(1)
    for tokens in law:
        assert pattern.accepts(model.decode(tokens).encode())
        assert len(tokens) <= limit


def test_a_sequence_that_the_budget_closed_is_marked() -> None:
    control, state = begin(regex("a+"), 3)
    reasons = []
    for _ in range(2):
        reasons.append(control.finish(state))
        state = control.step(state, 1)
    assert reasons == [None, None]
    assert control.finish(state) == "budget"
    free, state = begin(regex("aa?"), 9)
    state = free.step(free.step(state, 1), 1)
    assert free.finish(state) == "complete"


def test_a_budget_that_did_not_matter_leaves_no_mark() -> None:
    control, state = begin(regex("a*"), 50)
    state = control.step(state, 1)
    assert control.stop_reason(state) is None


def test_thinking_is_free_until_its_budget_is_spent() -> None:
    grammar = after("b", choices(["ca"]))
    control, state = begin(grammar, 20, thinking_budget=2)
    for _ in range(2):
        assert len(allowed_tokens(state.mask, VOCABULARY.size)) > 2
        state = control.step(state, 1)
    state = control.step(state, control.forced(state))
    assert not state.grammar.in_free_text
    assert allowed_tokens(state.mask, VOCABULARY.size) == {4, 5}


def test_a_thinking_budget_of_zero_goes_straight_to_the_trigger() -> None:
    control, state = begin(after("b", choices(["ca"])), 20, thinking_budget=0)
    assert VOCABULARY.tokens[control.forced(state)].endswith(b"b")


def test_a_token_outside_of_the_grammar_is_a_dead_end() -> None:
    control, state = begin(choices(["ab"]), 9)
    with pytest.raises(DeadEndError, match="position 1"):
        control.step(control.step(state, 1), 4)
