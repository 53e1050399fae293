"""Fusions of two models: by enumeration of small laws and of the grid."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import guided
from guided.controls import CPDelta, CPFuse, Temperature
from guided.controls.fusion import EXPONENTS, History, best_exponents
from guided.decoding import Decoder, Fixed, Speculation
from guided.errors import ControlError, DecodingError, ModelError
from guided.testing import PrefixModel, enumerate_sequences, table_model
from guided.testing.prefix_model import PrefixConfig
from tests.decoding.drafting import Guesser, grown, texts

ONE, OTHER = table_model(4, seed=1, horizon=9), table_model(4, seed=2, horizon=9)


def law_of(model: guided.Model, prefix: tuple[int, ...]) -> torch.Tensor:
    ids = torch.tensor([prefix])
    return model.network.forward(ids, None, None, None).logits[0, -1].log_softmax(-1)


@pytest.mark.parametrize("divergence", ["max", "kl"])
def test_cp_delta_is_what_both_agree_on(divergence: Any) -> None:
    found = enumerate_sequences(ONE, (1,), [CPDelta(OTHER, divergence)], 1)
    one, other = law_of(ONE, (1,)).exp(), law_of(OTHER, (1,)).exp()
    weights = torch.minimum(one, other) if divergence == "max" else (one * other).sqrt()
    expected = weights / weights.sum()
    assert [found[(token,)] for token in range(4)] == pytest.approx(expected.tolist(), abs=1e-12)


def test_the_grid_is_the_published_one() -> None:
    assert len(EXPONENTS) == 18
    assert EXPONENTS[:2] == (0, pytest.approx(2 / 9))
    assert EXPONENTS[8:] == (pytest.approx(16 / 9), 2, 3, 4, 5, 6, 7, 8, 9, 10)


@pytest.mark.parametrize("history", [(0.0, 0.0), (-3.0, -9.0), (-9.0, -3.0), (-1.0, -40.0)])
@pytest.mark.parametrize("seed", range(4))
def test_cp_fuse_takes_the_best_law_of_the_grid(seed: int, history: tuple[float, float]) -> None:
    torch.manual_seed(seed)
    own, other = (torch.randn(2, 30, dtype=torch.float64) * 3).log_softmax(-1)

    def far(a: float, b: float) -> float:
        law = (a * own + b * other).log_softmax(-1)
        q = law.exp()
        return max(
            float((q * (law - own)).sum()) - history[0],
            float((q * (law - other)).sum()) - history[1],
        )

    best = min(far(a, b) for a in EXPONENTS for b in EXPONENTS)
    assert far(*best_exponents(own, other, History(*history))) == pytest.approx(best, abs=1e-9)


def test_cp_fuse_knows_how_likely_the_text_was_under_both() -> None:
    decoder = Decoder(ONE.network, ONE.vocabulary)
    (branch,) = decoder.open([[1, 2]], [[CPFuse(OTHER)]], seed=3, max_new_tokens=7)
    decoder.extend([branch], until=lambda b: len(b.tokens) == 3)
    (state,) = branch.states
    for model, found in ((ONE, state.own), (OTHER, state.other)):
        expected = sum(float(law_of(model, branch.text[:at])[branch.text[at]]) for at in (2, 3, 4))
        assert found == pytest.approx(expected, abs=1e-12)


def test_cp_fuse_keeps_a_text_about_as_likely_under_both() -> None:
    # The balancing property: what one model has memorised does not run away from the other.
    def gap(controls: list[Any]) -> float:
        results = guided.run(ONE, "ab", controls=controls, temperature=1, max_new_tokens=6, n=60)
        total = 0.0
        for result in results:
            one = other = 0.0
            prefix = (1, 2)
            for token in result.tokens:
                one += float(law_of(ONE, prefix)[token])
                other += float(law_of(OTHER, prefix)[token])
                prefix = (*prefix, token)
            total += abs(one - other)
        return total / len(results)

    assert gap([CPFuse(OTHER)]) < 0.6 * gap([])


def test_guesses_do_not_change_what_cp_fuse_draws() -> None:
    options: dict[str, Any] = {
        "controls": [[Temperature(0.8), CPFuse(OTHER)]] * 2, "seed": 4, "max_new_tokens": 6,
    }  # fmt: skip
    prompts = [[1], [2, 3]]
    plain = grown(Decoder(ONE.network, ONE.vocabulary), prompts, **options)
    speculation = Speculation([Guesser(4, texts(plain), 5, right=0.9)], policy=Fixed(5))
    guessed = grown(
        Decoder(ONE.network, ONE.vocabulary, speculation=speculation), prompts, **options
    )
    assert texts(plain) == texts(guessed)


def test_laws_without_a_common_token_are_refused() -> None:
    class Only(PrefixModel):
        def law(self, prefix: tuple[int, ...]) -> torch.Tensor:
            return torch.tensor([-math.inf, -math.inf, -math.inf, 0.0])

    other = guided.Model(Only(PrefixConfig(vocab_size=4)), vocabulary=ONE.vocabulary)
    silent = table_model(4, seed=1, horizon=1)
    for control in (CPFuse(other), CPDelta(other)):
        with pytest.raises(DecodingError, match="under both models at position 0"):
            guided.run(silent, "a", controls=[control], temperature=1)
    with pytest.raises(ControlError, match="'max' or 'kl'"):
        CPDelta(OTHER, "l2")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"no guided\.Model"):
        CPFuse(None)
