"""Weighted-particle methods obey the laws of all searches."""

from typing import Any

import pytest

from guided.decoding.rng import fold
from guided.search import SMC, MHPower, ParticleFilter, PowerSMC, Search, Tokens
from guided.testing import check_search_laws, table_model

OPTIONS: dict[str, Any] = {"heal": False, "segmenter": Tokens(2), "seed": 3, "max_new_tokens": 5}


def drawn(prompt: str, text: str) -> float:
    return (fold((1, *text.encode())) >> 11) * 2.0**-53


@pytest.mark.parametrize(
    "search",
    [
        SMC(4, kappa=0.9),
        SMC(3, "powered", 2.0, block=1, kappa=0.9, lookahead=2, moves=1),
        SMC(4, telescoping=False, form="odds", block=2),
        ParticleFilter(4),
        ParticleFilter(3, resample_inactive=False, sweeps=2),
        PowerSMC(4, 2.0, block=1, kappa=0.9, ramp=3, select="reward"),
    ],
    ids=lambda search: type(search).__name__,
)
def test_they_obey_the_laws_with_a_reward(search: Search) -> None:
    model = table_model(3, seed=3, spread=1.5, horizon=6)
    check_search_laws(search, model, ["ab", "ba"], drawn, most_at_once=8, **OPTIONS)


@pytest.mark.parametrize(
    "search",
    [PowerSMC(4, 2.0, block=2, kappa=0.9), MHPower(2.0, block=2, steps=2)],
    ids=lambda search: type(search).__name__,
)
def test_they_obey_the_laws_without_one(search: Search) -> None:
    model = table_model(3, seed=3, spread=1.5, horizon=6)
    check_search_laws(search, model, ["ab", "ba"], most_at_once=5, **OPTIONS)


def test_they_obey_them_under_a_grammar() -> None:
    model = table_model(4, seed=3)
    options = {**OPTIONS, "max_new_tokens": 7}
    check_search_laws(
        SMC(3, alpha=2.0, block=1, kappa=1.0), model, ["ab", "ba"], drawn, regex="(ab|ca)+c",
        **options,
    )  # fmt: skip
