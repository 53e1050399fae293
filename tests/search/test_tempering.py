"""Powers of the law: exponents of a bridge, the proposals that follow them, what they lack."""

import math

import pytest
import torch

from guided import run
from guided.controls import Temperature, TopK
from guided.decoding import Decoder
from guided.drafting import speculation
from guided.errors import InputError
from guided.search.tempering import (
    Exponents,
    PowerMass,
    Sharpening,
    is_tempered,
    log_mass,
    log_tempered,
    tempered_controls,
)
from guided.testing import check_control_laws, enumerate_sequences, table_model


def law_of(model, prefix):
    raw = model.network.forward(torch.tensor([list(prefix)]), None, None, None).logits[0, -1]
    return raw.double().log_softmax(-1)


def test_exponents_rise_from_one_to_alpha() -> None:
    by_token = Exponents(4.0, ramp=3)
    assert [by_token.at(t) for t in range(5)] == pytest.approx([2, 3, 4, 4, 4])
    staged = Exponents(3.0, ramp=8, stages=2)
    assert [staged.at(t) for t in range(10)] == pytest.approx([2] * 4 + [3] * 6)
    # One stage for every token is the ramp by tokens.
    assert [Exponents(4.0, 7, 7).at(t) for t in range(9)] == [
        Exponents(4.0, 7).at(t) for t in range(9)
    ]


@pytest.mark.parametrize("ramp", [0, 1])
def test_a_ramp_of_at_most_one_token_is_none(ramp) -> None:
    assert Exponents(4.0, ramp).is_constant
    assert [Exponents(4.0, ramp).at(t) for t in range(3)] == [4.0] * 3


def test_contradictory_exponents_are_refused() -> None:
    for wrong in [(0.0, 0, None), (math.inf, 0, None), (2.0, -1, None), (2.0, 3, 4), (2.0, 3, 0)]:
        with pytest.raises(InputError):
            Exponents(*wrong)


@pytest.mark.parametrize("control", [Sharpening(Exponents(3.0, 4)), PowerMass(3.0)])
def test_controls_are_pure_functions_of_the_prefix(control) -> None:
    check_control_laws(control, table_model(4).vocabulary, [(1, 3, 2, 1, 1), (2,), (1, 2)])


def test_the_choice_of_a_token_has_no_variance_only_at_temperature_one_over_alpha() -> None:
    alpha, log_p = 3.0, law_of(table_model(4, seed=5), (1, 2))
    variances = {}
    for tau in (1 / alpha, 0.2, 0.5, 1.0):
        log_q = (log_p / tau).log_softmax(-1)
        step = alpha * log_p - log_q
        variances[tau] = float((log_q.exp() * (step - (log_q.exp() * step).sum()) ** 2).sum())
    assert variances[1 / alpha] < 1e-24
    assert min(v for tau, v in variances.items() if tau != 1 / alpha) > 1e-3


def test_the_increment_at_the_best_proposal_is_the_log_mass() -> None:
    alpha = 2.5
    model = table_model(4, seed=5, horizon=5)
    for seed in range(10):
        found = run(
            model, "ab", temperature=1 / alpha, seed=seed, max_new_tokens=6, heal=False, draft=None
        )
        prefix = tuple(model.encode("ab"))
        for token, log_p, log_q in zip(found.tokens, found.log_p, found.log_q, strict=True):
            law = law_of(model, prefix)
            entropy = math.log(float((law.exp() ** alpha).sum())) / (1 - alpha)
            mass = float(log_mass(law[None], alpha))
            assert mass == pytest.approx((1 - alpha) * entropy, abs=1e-9)
            assert alpha * log_p - log_q == pytest.approx(mass, abs=1e-9)
            prefix = (*prefix, token)


@pytest.mark.parametrize("draft", [None, "auto"])
@pytest.mark.parametrize("extra", [[], [TopK(2)]])
def test_the_tempered_law_of_a_text_is_known_whatever_it_was_drawn_from(extra, draft) -> None:
    alpha = 2.0
    model = table_model(4, seed=5, horizon=5)
    laws = enumerate_sequences(
        model, model.encode("ab"), [Temperature(1 / alpha)], max_new_tokens=5
    )
    decoder = Decoder(model.network, model.vocabulary, speculation=speculation(model, draft))
    controls = tempered_controls([*extra, Temperature(0.7)], alpha)
    branches = decoder.open([model.encode("ab")] * 8, [controls] * 8, max_new_tokens=5)
    decoder.extend(branches)
    for branch in branches:
        log_m = log_tempered(branch, alpha, sum(branch.log_p), sum(branch.log_q))
        assert log_m == pytest.approx(math.log(laws[tuple(branch.tokens)]), abs=1e-9)


def test_plain_sampling_at_the_temperature_needs_no_bookkeeping() -> None:
    assert is_tempered([Temperature(0.5)], 2.0)
    assert is_tempered([], 1.0)
    assert not is_tempered([], 2.0)
    assert not is_tempered([Temperature(0.5), TopK(3)], 2.0)
    assert tempered_controls([Temperature(0.5)], 2.0) == [Temperature(0.5)]
    assert isinstance(tempered_controls([Temperature(0.5), TopK(3)], 2.0)[0], PowerMass)
