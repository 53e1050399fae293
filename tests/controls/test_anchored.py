"""Anchored laws over whole outputs, by enumeration on three symbols and four positions."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

import guided
from guided.controls import (
    Anchored,
    Context,
    GrammarMask,
    Pipeline,
    RepetitionPenalty,
    Temperature,
    TopK,
)
from guided.controls.ledger import Ledger
from guided.errors import ControlError, DeadEndError, DecodingError, LogitsError, ModelError
from guided.testing import PrefixModel, WordGrammar, enumerate_sequences, table_model
from guided.testing.prefix_model import PrefixConfig
from guided.testing.table_model import enumerate_states

HORIZON = 4
BUDGETS = (0.05, 0.2, 0.5, 1.0)
DEBTS = (0.0, 0.3, 5.0)
#: Token 0 ends an output: laws of outputs shorter than the horizon too.
RISKY, SAFE = table_model(3, seed=1, spread=6), table_model(3, seed=2, spread=6)
Law = dict[tuple[int, ...], float]


def anchored(k: float, debt: Any = 0.0, **options: Any) -> Anchored:
    return Anchored(SAFE, k=k, debt=debt, **options)


def endings(
    control: Anchored, prompt: Sequence[int] = (1,), more: Sequence[Any] = ()
) -> dict[tuple[int, ...], tuple[float, Ledger]]:
    """The probability and the ledger of every output."""
    pipeline = Pipeline([control, *more])
    found = enumerate_states(RISKY, prompt, pipeline, HORIZON)
    return {tokens: (q, pipeline.certificate(states)) for tokens, (q, states) in found.items()}


def beginnings(law: Law, length: int) -> Law:
    """The law of the first `length` tokens of an output, or of all where it is shorter."""
    found: Law = defaultdict(float)
    for tokens, probability in law.items():
        found[tokens[:length]] += probability
    return dict(found)


def divergence(q: Mapping[Any, float], p: Mapping[Any, float]) -> float:
    return sum(each * math.log(each / p[tokens]) for tokens, each in q.items() if each > 0)


def by_hand(k: float, debt: float, prompt: tuple[int, ...] = (1,)) -> Law:
    """The law of outputs from the definitions alone: every theta by bisection."""
    done: Law = {}
    level = {(): (1.0, 0.0)}
    for t in range(HORIZON):
        grown = {}
        for tokens, (weight, spent) in level.items():
            ids = torch.tensor([[*prompt, *tokens]])
            p, r = (
                model.network.forward(ids, None, None, None).logits[0, -1].log_softmax(-1)
                for model in (SAFE, RISKY)
            )
            budget = max(0.0, (t + 1) * k - spent - debt)
            low, high = 0.0, 1.0
            cost, law = _at(1.0, p, r)
            if cost > budget:
                for _ in range(60):
                    low, high = (
                        ((low + high) / 2, high)
                        if _at((low + high) / 2, p, r)[0] <= budget
                        else (low, (low + high) / 2)
                    )
                cost, law = _at(low, p, r)
            for token, q in enumerate(law.tolist()):
                longer = (*tokens, token)
                if token == 0 or len(longer) == HORIZON:
                    done[longer] = weight * q
                else:
                    grown[longer] = (weight * q, spent + cost)
        level = grown
    return done


def _at(theta: float, p: Tensor, r: Tensor) -> tuple[float, Tensor]:
    law = ((1 - theta) * p + theta * r).log_softmax(-1)
    return float((law.exp() * (law - p)).sum()), law.exp()


SAFE_LAW = enumerate_sequences(SAFE, (1,), (), HORIZON)


@pytest.mark.parametrize("k", BUDGETS)
@pytest.mark.parametrize("debt", DEBTS)
def test_the_law_of_outputs_is_that_of_the_definitions(k: float, debt: float) -> None:
    found = endings(anchored(k, debt))
    expected = by_hand(k, debt)
    assert found.keys() == expected.keys()
    for tokens, (q, _) in found.items():
        # A cost may stay 1e-6 below its budget.
        assert q == pytest.approx(expected[tokens], abs=2e-5)


@pytest.mark.parametrize("schedule", ["banked", "static", "global"])
@pytest.mark.parametrize("k", BUDGETS)
@pytest.mark.parametrize("debt", DEBTS)
def test_the_divergence_of_outputs_and_every_ledger_stay_within_the_budget(
    schedule: Any, k: float, debt: float
) -> None:
    found = endings(anchored(k, debt, schedule=schedule))
    law = {tokens: q for tokens, (q, _) in found.items()}
    assert sum(law.values()) == pytest.approx(1)
    for length in range(1, HORIZON + 1):
        paid = HORIZON if schedule == "global" else length
        most = max(0.0, paid * k - debt)
        distance = divergence(beginnings(law, length), beginnings(SAFE_LAW, length))
        assert distance <= most + 1e-12
        if length == HORIZON:
            mean = sum(q * ledger.spent for q, ledger in found.values())
            assert distance == pytest.approx(mean, abs=1e-9)
    for tokens, (_, ledger) in found.items():
        assert len(ledger.charges) == len(tokens)
        for length in range(1, len(tokens) + 1):
            paid = HORIZON if schedule == "global" else length
            spent = sum(charge.cost for charge in ledger.charges[:length])
            assert spent <= max(0.0, paid * k - debt) + 1e-12
        assert all(0 <= charge.cost <= charge.budget for charge in ledger.charges)
        assert ledger.spent <= ledger.allowed + 1e-12


def test_one_text_may_be_far_likelier_than_the_budget_says() -> None:
    # KL bounds the mean of the log-ratio, not the ratio of one output.
    k = 0.5
    law = endings(anchored(k))
    assert max(math.log(q / SAFE_LAW[tokens]) for tokens, (q, _) in law.items()) > k * HORIZON


@pytest.mark.parametrize("schedule", ["banked", "static", "global"])
@pytest.mark.parametrize("k", BUDGETS)
@pytest.mark.parametrize("debt", DEBTS)
def test_the_pathwise_form_bounds_the_ratio_of_every_output(
    schedule: Any, k: float, debt: float
) -> None:
    found = endings(anchored(k, debt, form="pathwise", schedule=schedule))
    law = {tokens: q for tokens, (q, _) in found.items()}
    assert sum(law.values()) == pytest.approx(1)
    for length in range(1, HORIZON + 1):
        paid = HORIZON if schedule == "global" else length
        most = max(0.0, paid * k - debt)
        safe = beginnings(SAFE_LAW, length)
        for tokens, q in beginnings(law, length).items():
            assert math.log(q / safe[tokens]) <= most + 1e-12
    for tokens, (q, ledger) in found.items():
        assert ledger.spent == pytest.approx(math.log(q / SAFE_LAW[tokens]), abs=1e-9)


@pytest.mark.parametrize("form", ["kl", "pathwise"])
def test_the_bound_on_events_holds_for_every_event(form: Any) -> None:
    k = 0.05
    found = endings(anchored(k, form=form))
    ledger = next(iter(found.values()))[1]
    outputs = sorted(found, key=lambda tokens: found[tokens][0] / SAFE_LAW[tokens], reverse=True)
    for count in range(1, len(outputs)):
        # The likeliest event of its size: outputs with the greatest ratios.
        event = outputs[:count]
        safe = sum(SAFE_LAW[tokens] for tokens in event)
        own = sum(found[tokens][0] for tokens in event)
        assert own <= ledger.event_bound(math.log(safe)) + 1e-12
    assert ledger.event_bound(0.0) == 1
    assert ledger.event_bound(-100.0) < 1
    with pytest.raises(ValueError, match="at most 0"):
        ledger.event_bound(0.5)


def test_no_budget_is_the_safe_model_and_a_large_one_the_risky_model() -> None:
    for control in (anchored(0), anchored(0, form="pathwise"), anchored(1, debt=4.0)):
        assert {tokens: q for tokens, (q, _) in endings(control).items()} == SAFE_LAW
    risky = enumerate_sequences(RISKY, (1,), (), HORIZON)
    for form in ("kl", "pathwise"):
        found = endings(anchored(1000, form=form))
        assert {tokens: q for tokens, (q, _) in found.items()} == risky
        thetas = {charge.theta for _, ledger in found.values() for charge in ledger.charges}
        assert thetas == {1.0}


def test_identical_models_cost_nothing() -> None:
    found = enumerate_states(SAFE, (1,), Pipeline([anchored(0.1)]), HORIZON)
    for _, (state,) in found.values():
        ledger = anchored(0.1).certificate(state)
        assert ledger.spent == pytest.approx(0, abs=1e-12)
        assert all(charge.theta == 1 for charge in ledger.charges)


def test_what_is_not_spent_may_be_spent_later() -> None:
    # The second model is the first one until the third token.
    k, debt = 0.2, 0.3
    late = _model(lambda prefix: (SAFE if len(prefix) < 3 else RISKY).hf_model.law(prefix))
    found = enumerate_states(late, (1,), Pipeline([anchored(k, debt)]), HORIZON)
    budgets = {
        tuple(round(charge.budget, 9) for charge in anchored(k).certificate(state).charges[:3])
        for tokens, (_, (state,)) in found.items()
        if len(tokens) >= 3
    }
    assert budgets == {(0.0, 0.1, 0.3)}  # (t + 1) k - debt
    static = enumerate_states(late, (1,), Pipeline([anchored(k, debt, schedule="static")]), HORIZON)
    budgets = {
        tuple(round(charge.budget, 9) for charge in anchored(k).certificate(state).charges[:3])
        for tokens, (_, (state,)) in static.items()
        if len(tokens) >= 3
    }
    assert budgets == {(0.0, 0.1, 0.2)}


def test_no_budget_comes_after_the_horizon() -> None:
    found = endings(anchored(0.3, horizon=2))
    for tokens, (_, ledger) in found.items():
        assert ledger.budget == pytest.approx(0.6)
        assert ledger.spent <= 0.6 + 1e-12
        if len(tokens) == HORIZON:
            assert ledger.allowed == pytest.approx(0.6)


def test_the_safe_model_gets_the_same_warps() -> None:
    warps = [Temperature(0.6), RepetitionPenalty(1.4), TopK(2)]
    safe = enumerate_sequences(SAFE, (1,), warps, HORIZON)
    found = endings(anchored(0, disjoint="safe"), more=warps)
    assert {tokens: q for tokens, (q, _) in found.items()} == safe
    found = endings(anchored(0.2, disjoint="safe"), more=warps)
    law = {tokens: q for tokens, (q, _) in found.items()}
    assert divergence(law, safe) <= 0.2 * HORIZON
    assert divergence(law, safe) == pytest.approx(
        sum(q * ledger.spent for q, ledger in found.values()), abs=1e-9
    )


@pytest.mark.parametrize("form", ["kl", "pathwise"])
def test_under_a_grammar_the_bound_is_to_the_masked_safe_model(form: Any) -> None:
    # As tokens "b" and "a" are 2 and 1.
    mask = GrammarMask(WordGrammar([b"aab", b"abb", b"b", b"ba"]))
    safe = enumerate_sequences(SAFE, (1,), [mask], HORIZON)
    found = endings(anchored(0.1, form=form), more=[mask])
    law = {tokens: q for tokens, (q, _) in found.items()}
    assert law.keys() == safe.keys()
    assert divergence(law, safe) <= 0.1 * HORIZON
    for tokens, (q, ledger) in found.items():
        if form == "pathwise":
            assert ledger.spent == pytest.approx(math.log(q / safe[tokens]), abs=1e-9)
            assert ledger.spent <= 0.1 * HORIZON + 1e-12
        if tokens[:2] == (1, 1):  # "aa" can only go on with "b" and end: nothing to pay
            assert [charge.cost for charge in ledger.charges[2:]] == [0] * len(ledger.charges[2:])


def _model(law: Any) -> guided.Model:
    class Given(PrefixModel):
        def law(self, prefix: tuple[int, ...]) -> Tensor:
            found: Tensor = law(prefix)
            return found

    return guided.Model(Given(PrefixConfig(vocab_size=3)), vocabulary=SAFE.vocabulary)


def _constant(*logits: float) -> guided.Model:
    return _model(lambda prefix: torch.tensor(logits, dtype=torch.float64))


NOTHING = _constant(*[-torch.inf] * 3)


def test_laws_without_a_common_token_are_refused_with_their_position() -> None:
    safe = _model(lambda prefix: torch.tensor([0.0, 1.0, -torch.inf if len(prefix) > 2 else 0.0]))
    risky = _model(
        lambda prefix: torch.tensor([*[-torch.inf if len(prefix) > 2 else 0.0] * 2, 2.0])
    )
    for form in ("kl", "pathwise"):
        options: dict[str, Any] = {"temperature": 1, "max_new_tokens": 20, "n": 20}
        control = Anchored(safe, 1.0, debt=None, form=form)
        with pytest.raises(DecodingError, match="under both models at position 2"):
            guided.run(risky, "a", controls=[control], **options)
        control = Anchored(safe, 1.0, debt=None, form=form, disjoint="safe")
        for result in guided.run(risky, "a", controls=[control], **options):
            assert all(charge.cost == 0 for charge in result.certificate.charges[2:])
            assert 2 not in result.tokens[2:]


def test_logits_that_are_no_numbers_are_refused_with_their_position() -> None:
    safe = _constant(0.0, 1.0, math.nan)
    with pytest.raises(LogitsError, match="safe model's logits at position 0"):
        guided.run(RISKY, "a", controls=[Anchored(safe, debt=None)], temperature=1)
    with pytest.raises(LogitsError, match="the model's logits at position 0"):
        guided.run(safe, "a", controls=[Anchored(SAFE, debt=None)], temperature=1)
    with pytest.raises(DeadEndError, match="safe model allows no token at position 0"):
        guided.run(RISKY, "a", controls=[Anchored(NOTHING, debt=None)], temperature=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": -1.0}, "k is a budget .* not -1"),
        ({"k": math.nan}, "not nan"),
        ({"k": math.inf}, "not inf"),
        ({"horizon": 0}, "horizon must be at least 1 token, not 0"),
        ({"form": "renyi"}, "form must be one of kl, pathwise, not 'renyi'"),
        ({"schedule": "never"}, "schedule must be one of"),
        ({"debt": -0.1}, "debt must be"),
        ({"debt": "all"}, "debt must be"),
        ({"n_debt": 0}, "n_debt must be at least 1"),
        ({"disjoint": "risky"}, "disjoint must be"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ControlError, match=message):
        Anchored(SAFE, **options)


def test_what_cannot_be_anchored_is_refused_before_any_pass() -> None:
    with pytest.raises(ModelError, match="safe_model is a str"):
        Anchored("gpt2")
    other = table_model(tokens=[b"a", b"x"])
    with pytest.raises(ModelError, match=r"token 2 is b'x' there and b'b' here.*AnchoredBytes"):
        guided.run(RISKY, "a", controls=[Anchored(other)], temperature=1)
    with pytest.raises(ControlError, match=r"greedy decoding is no draw.*no budget bounds"):
        guided.run(RISKY, "a", controls=[Anchored(SAFE)], temperature=0)
    with pytest.raises(ControlError, match="a global budget is k"):
        Anchored(SAFE, schedule="global").begin(Context((1,), SAFE.vocabulary))
    with pytest.raises(ControlError, match="keep one"):
        guided.run(RISKY, "a", controls=[Anchored(SAFE), Anchored(RISKY)], temperature=1)


def test_a_ledger_goes_on_where_it_ended() -> None:
    first = guided.run(
        RISKY, "a", controls=[anchored(0.3, 0.2, horizon=8)], temperature=1, max_new_tokens=3,
        seed=72,
    )  # fmt: skip
    ledger = first.certificate
    assert len(ledger.charges) == len(first.tokens) == 3
    whole = guided.run(
        RISKY, "a", controls=[anchored(0.3, 0.2, horizon=8)], temperature=1, max_new_tokens=8,
        seed=72,
    )  # fmt: skip
    assert whole.certificate.charges[:3] == ledger.charges
    resumed = anchored(None, ledger=ledger)
    second = guided.run(
        RISKY, "a" + first.text, controls=[resumed], temperature=1, max_new_tokens=30
    )
    after = second.certificate
    assert after.debt == 0.2
    assert after.charges[:3] == ledger.charges
    # No call brings a budget of its own: what both have spent stays within the first one's.
    assert after.spent <= 8 * 0.3 - 0.2
    assert after.charges[3].budget == pytest.approx(4 * 0.3 - 0.2 - ledger.spent)
    for wrong in ({"k": 0.5}, {"form": "pathwise"}, {"schedule": "static"}):
        with pytest.raises(ControlError, match="other terms"):
            Anchored(SAFE, ledger=ledger, **wrong)


def test_half_precision_logits_are_anchored_in_double() -> None:
    control = anchored(0.1)
    state = control.begin(Context((1,), SAFE.vocabulary, 4))
    safe, risky = torch.randn(2, 1, 3).bfloat16()
    law, (after,) = control.apply(risky, [state], {"safe": safe})
    assert law.dtype == torch.float64
    assert after.coming is not None
    assert after.coming.cost <= 0.1
