"""ARGS: tokens by their log-probability plus the weighted reward of the text with them."""

from __future__ import annotations

import math
import re

import pytest
import torch

from guided import run
from guided.errors import InputError
from guided.search import ARGS
from guided.testing import table_model
from tests.search.exact_laws import log_law, spelled

PROMPT, TOKENS = "ab", [1, 2]


def likes_b(prompt: str, text: str) -> float:
    return float(text.count("b"))


def test_greedy_takes_the_highest_score_of_the_k_likeliest() -> None:
    model = table_model(5, seed=4)
    found = ARGS(k=3, weight=0.7).run(model, PROMPT, likes_b, heal=False, max_new_tokens=6)
    own = found.best.tokens
    for at, token in enumerate(own):
        law = log_law(model, [*TOKENS, *own[:at]])
        kept = law.argsort(descending=True)[:3].tolist()
        scores = [
            float(law[z]) + 0.7 * likes_b(PROMPT, spelled(model, [*own[:at], z])) for z in kept
        ]
        assert token == kept[scores.index(max(scores))]
    assert found.spent["tokens"] == len(own)


def test_sampling_draws_from_the_softmax_of_the_scores() -> None:
    model = table_model(5, seed=4)
    method = ARGS(k=3, weight=0.7, select="sample", temperature=0.6)
    for result in method.run(model, [PROMPT] * 8, likes_b, heal=False, max_new_tokens=4):
        own = result.best.tokens
        for at, token in enumerate(own):
            law = log_law(model, [*TOKENS, *own[:at]])
            kept = law.argsort(descending=True)[:3].tolist()
            scores = torch.tensor(
                [
                    float(law[z]) + 0.7 * likes_b(PROMPT, spelled(model, [*own[:at], z]))
                    for z in kept
                ],
                dtype=torch.float64,
            )
            expected = float((scores / 0.6).log_softmax(-1)[kept.index(token)])
            assert result.best.log_q[at] == pytest.approx(expected, abs=1e-9)


def test_without_weight_it_is_greedy_decoding() -> None:
    model = table_model(5, seed=4, horizon=9)
    found = ARGS(weight=0.0).run(model, PROMPT, likes_b, heal=False)
    assert found.best.tokens == run(model, PROMPT, heal=False, temperature=0.0).tokens


def test_a_grammar_holds() -> None:
    model = table_model(5, seed=4)
    found = ARGS(weight=9.0).run(model, PROMPT, likes_b, regex="a(b|c){2}d?", max_new_tokens=8)
    assert re.fullmatch("a(b|c){2}d?", found.text)
    assert "bb" in found.text


@pytest.mark.parametrize(
    "settings", [{"k": 0}, {"weight": -1.0}, {"temperature": 0.0}, {"weight": math.nan}]
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        ARGS(**settings)  # type: ignore[arg-type]
