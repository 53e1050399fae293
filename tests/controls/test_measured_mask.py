"""The measuring mask: GrammarMask's language with its stop tokens, and the mass of every node."""

from __future__ import annotations

import math
import re

import pytest
import torch

from guided.controls import GrammarMask, MeasuredMask, StopStrings, Temperature, TopK
from guided.controls.measured_mask import REJECTED, measured_state, measuring
from guided.controls.protocol import Context
from guided.decoding import Decoder
from guided.drafting import speculation
from guided.errors import BudgetError, ControlError
from guided.grammars.regex import regex
from guided.grammars.vocabulary import Vocabulary
from guided.testing import check_control_laws, enumerate_sequences, table_model

MODEL = table_model(tokens=[b"a", b"b", b"ab", b"c"], seed=3, spread=3)
PATTERN = "a(b|c){0,2}|ca"
LIMIT = 5


def language(model=MODEL, pattern=PATTERN, limit=LIMIT):
    """All sequences that end by a stop token and spell a text of the grammar, by brute force."""
    law = enumerate_sequences(model, [1], max_new_tokens=limit)
    texts = {w: p for w, p in law.items() if w[-1] == 0}
    return {w: p for w, p in texts.items() if re.fullmatch(pattern, model.decode(w))}


def grown(controls, count=200, model=MODEL, limit=LIMIT, speculation=None, prompt=(1,)):
    decoder = Decoder(model.network, model.vocabulary, speculation=speculation)
    branches = decoder.open(
        [prompt] * count, [controls] * count, seed=5, max_new_tokens=limit, rows=range(count)
    )
    decoder.extend(branches)
    return branches


def masses(branch):
    return [
        s.measure.log_mass for s in measured_state(branch.pipeline.controls, branch.states).path()
    ]


def test_its_law_is_the_masked_one_over_texts_with_their_stop_tokens() -> None:
    law = enumerate_sequences(MODEL, [1], [MeasuredMask(regex(PATTERN))], LIMIT)
    assert set(law) == set(language())
    assert sum(law.values()) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("limit", [LIMIT, 3])
def test_the_masses_of_a_path_turn_the_masked_law_into_the_models(limit: int) -> None:
    whole = language(limit=limit)
    seen = set()
    for branch in grown([MeasuredMask(regex(PATTERN))], limit=limit):
        tokens = tuple(branch.tokens)
        seen.add(tokens)
        assert branch.finish_reason in ("stop", "budget")
        found = masses(branch)
        assert len(found) == len(tokens)
        # P(w) = G(w) Π m: the stop token counts, forced ones too.
        assert sum(branch.log_q) + sum(found) == pytest.approx(math.log(whole[tokens]), abs=1e-9)
    assert seen == set(whole)


def test_a_mass_is_that_of_the_legal_tokens_and_the_entropy_that_of_the_whole_law() -> None:
    (branch,) = grown([Temperature(0.7), MeasuredMask(regex("ab"))], count=1)
    path = measured_state(branch.pipeline.controls, branch.states).path()
    legal = [[1, 3], [2], [0]] if branch.tokens[0] == 1 else [[1, 3], [0]]
    for node, before, allowed in zip(path, range(len(branch.tokens)), legal, strict=True):
        prefix = torch.tensor([[1, *branch.tokens[:before]]])
        raw = MODEL.network.forward(prefix, None, None, None).logits[0, -1].double() / 0.7
        law = raw.softmax(-1)
        assert math.exp(node.measure.log_mass) == pytest.approx(float(law[allowed].sum()), rel=1e-9)
        assert node.measure.entropy == pytest.approx(float(-(law * law.log()).sum()), rel=1e-9)


def test_it_measures_what_other_controls_leave_in_whatever_order_they_are_given() -> None:
    # Top-k is taken from the model's law, not from the legal tokens as beside a GrammarMask.
    law = enumerate_sequences(MODEL, [1], [TopK(2)], LIMIT)
    kept = {w: p for w, p in law.items() if w in language()}
    for branch in grown([MeasuredMask(regex(PATTERN)), TopK(2)]):
        if branch.finish_reason == REJECTED:
            continue
        found = sum(branch.log_q) + sum(masses(branch))
        assert found == pytest.approx(math.log(kept[tuple(branch.tokens)]), abs=1e-9)


def test_a_dead_end_ends_the_sequence_and_nothing_else() -> None:
    # Beyond its horizon the model says nothing but the stop token, which is not legal there.
    model = table_model(tokens=[b"a", b"b"], seed=1, horizon=3)
    branches = grown([MeasuredMask(regex("aaaa|b"))], model=model, limit=8, count=40)
    reasons = {branch.finish_reason for branch in branches}
    assert reasons == {"stop", REJECTED}
    for branch in branches:
        if branch.finish_reason == REJECTED:
            assert masses(branch)[-1] == -math.inf
            assert branch.tokens == [1, 1, 0]
        else:
            assert branch.tokens == [2, 0]


def test_an_illegal_token_drawn_at_a_dead_end_ends_the_sequence() -> None:
    model = table_model(tokens=[b"a", b"b"], seed=1)
    never = TopK(1)
    branches = grown([never, MeasuredMask(regex("b{4}"))], model=model, limit=8, count=1)
    (branch,) = branches
    assert branch.finish_reason == REJECTED
    assert len(masses(branch)) == len(branch.tokens)
    state = measured_state(branch.pipeline.controls, branch.states)
    assert state.is_outside or branch.tokens[-1] == 0


def test_guesses_ahead_change_neither_tokens_nor_masses() -> None:
    control = MeasuredMask(regex("(ab){3}(a|b)c"))
    model = table_model(tokens=[b"a", b"b", b"ab", b"c"], seed=3, spread=1)
    plain = grown([control], count=20, limit=12, model=model)
    drafted = grown(
        [control], count=20, limit=12, model=model, speculation=speculation(model, "auto")
    )
    assert sum(branch.accepted for branch in drafted) > 0
    for one, other in zip(plain, drafted, strict=True):
        assert one.tokens == other.tokens
        assert one.finish_reason == other.finish_reason
        assert masses(one) == pytest.approx(masses(other), abs=1e-9)


def test_it_obeys_the_laws_of_controls() -> None:
    vocabulary = MODEL.vocabulary
    control = MeasuredMask(regex(PATTERN))
    check_control_laws(control, vocabulary, [[1, 2, 4], [3], [4, 1]], max_new_tokens=LIMIT)


def test_states_stay_as_they_were() -> None:
    control = MeasuredMask(regex(PATTERN))
    start = control.begin(Context((1,), MODEL.vocabulary, LIMIT))
    logits = torch.zeros(1, 5, dtype=torch.float64)
    _, (seen,) = control.apply(logits.clone(), [start])
    after = control.step(seen, 1)
    assert start.measure is None
    assert start.path() == []
    assert after.path() == [seen]
    assert after.above is seen
    assert after.token == 1
    _, (again,) = control.apply(logits.clone(), [after])
    assert again.path() == [seen, again]
    assert after.path() == [seen]


def test_what_has_no_aligned_law_is_refused_by_name() -> None:
    mask = GrammarMask(regex("a"), thinking_budget=None, within_budget=False)
    with pytest.raises(ControlError, match="ASAp aligns a grammar with the model"):
        measuring([Temperature(0.5)], "ASAp")
    with pytest.raises(ControlError, match="StopStrings"):
        measuring([mask, StopStrings(["x"])], "ASAp")
    (made,) = measuring([mask], "ASAp")
    assert isinstance(made, MeasuredMask)
    assert not made.within_budget
    endless = Vocabulary.from_tokens([b"a", b"b"], [])
    with pytest.raises(ControlError, match="no stop token"):
        made.begin(Context((1,), endless, 4))
    with pytest.raises(BudgetError, match="too few"):
        MeasuredMask(regex("a{9}")).begin(Context((1,), MODEL.vocabulary, 4))
