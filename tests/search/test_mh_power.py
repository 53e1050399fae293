"""MH power sampling: its kernel leaves p ** alpha invariant, and its chain gets there."""

import math
import re
from collections import Counter

import pytest
import torch

from guided import run
from guided.controls import Temperature
from guided.errors import InputError
from guided.search import Budget, MHPower
from guided.search.mh_power import Ends, log_acceptance
from guided.testing import enumerate_sequences, table_model

MODEL = table_model(3, seed=1, horizon=5)
PROMPT = MODEL.encode("ab")
OPTIONS = {"heal": False, "max_new_tokens": 5, "draft": None}
ALPHA = 2.0
LAW = enumerate_sequences(MODEL, PROMPT, max_new_tokens=5)
PROPOSAL = enumerate_sequences(MODEL, PROMPT, [Temperature(1 / ALPHA)], max_new_tokens=5)


def runs(search, count, **options):
    """Independent chains: equal prompts have random streams of their own."""
    return search.run(MODEL, ["ab"] * count, at_once=count, **(OPTIONS | options))


@pytest.mark.parametrize("exact", [True, False])
def test_only_the_exact_kernel_leaves_the_power_invariant(exact) -> None:
    states = list(LAW)
    kernel = torch.zeros(len(states), len(states), dtype=torch.float64)
    for i, old in enumerate(states):
        for cut in range(len(old)):
            rivals = [(j, new) for j, new in enumerate(states) if new[:cut] == old[:cut]]
            total = sum(PROPOSAL[new] for _, new in rivals)
            for j, new in rivals:
                chance = PROPOSAL[new] / total / len(old)
                ends = [Ends(math.log(LAW[t]), math.log(PROPOSAL[t]), len(t)) for t in (new, old)]
                accepted = chance * math.exp(log_acceptance(*ends, ALPHA, exact))
                kernel[i, j] += accepted
                kernel[i, i] += chance - accepted
    law = torch.tensor([LAW[t] ** ALPHA for t in states], dtype=torch.float64)
    law /= law.sum()
    assert torch.allclose(kernel.sum(1), torch.ones(len(states), dtype=torch.float64), atol=1e-12)
    assert (float((law @ kernel - law).abs().max()) < 1e-12) == exact


def frequencies(results):
    counts = Counter(result.best.tokens for result in results)
    return {tokens: count / len(results) for tokens, count in counts.items()}


def test_the_chain_gets_to_the_power_distribution() -> None:
    count, total = 150, sum(p**ALPHA for p in LAW.values())
    seen = frequencies(runs(MHPower(ALPHA, block=3, steps=5), count))
    for tokens, p in LAW.items():
        share = p**ALPHA / total
        band = 4 * math.sqrt(share * (1 - share) / count)
        assert seen.get(tokens, 0.0) == pytest.approx(share, abs=band + 1e-3)


def test_under_a_grammar_the_target_is_the_power_restricted_to_it() -> None:
    pattern, count = "(a|b)b?a", 100
    found = runs(MHPower(ALPHA, block=5, steps=5), count, regex=pattern)
    assert all(re.fullmatch(pattern, result.text) for result in found)
    # A word that nothing goes on from ends alone, without a stop token: p is that of its prefix.
    words = {"aa": (1, 1), "ba": (2, 1), "aba": (1, 2, 1), "bba": (2, 2, 1)}
    power = {
        text: sum(p for t, p in LAW.items() if t[: len(head)] == head) ** ALPHA
        for text, head in words.items()
    }
    texts = Counter(result.text for result in found)
    for text, value in power.items():
        share = value / sum(power.values())
        band = 4 * math.sqrt(share * (1 - share) / count)
        assert texts[text] / count == pytest.approx(share, abs=band + 1e-3)


def test_before_any_step_is_accepted_the_text_is_a_plain_sample() -> None:
    for seed in range(5):
        found = MHPower(ALPHA, block=9, steps=1).run(
            MODEL, "ab", seed=seed, budget=Budget(tokens=1), **OPTIONS
        )
        plain = run(MODEL, "ab", temperature=1 / ALPHA, seed=seed, **OPTIONS)
        assert found.best.tokens == plain.tokens[: len(found.best.tokens)]


def test_it_redraws_ends_only() -> None:
    rounds = [
        event
        for event in MHPower(ALPHA, block=2, steps=4).iterate(MODEL, "ab", seed=3, **OPTIONS)
        if hasattr(event, "info")
    ]
    assert [event.info["steps"] for event in rounds] == [4, 4, 4]
    assert all(0 <= event.info["accepted"] <= 4 for event in rounds)
    assert rounds[0].info["length"] <= 2


def test_as_published_it_stops_with_the_block_in_which_the_text_ends() -> None:
    for seed in range(5):
        exact, published = (
            MHPower(ALPHA, block=1, steps=2, exact=exact).run(MODEL, "ab", seed=seed, **OPTIONS)
            for exact in (True, False)
        )
        assert published.spent["rounds"] <= exact.spent["rounds"] == 5


def test_guesses_ahead_change_nothing() -> None:
    plain, drafted = (
        MHPower(ALPHA, block=2, steps=3).run(MODEL, "ab", seed=1, **(OPTIONS | {"draft": draft}))
        for draft in (None, "auto")
    )
    assert plain.best.tokens == drafted.best.tokens


def test_what_cannot_work_is_refused_before_any_pass() -> None:
    for wrong in [{"alpha": 0.0}, {"block": 0}, {"steps": 0}]:
        with pytest.raises(InputError):
            MHPower(**wrong)
    with pytest.raises(InputError, match="greedy"):
        MHPower().run(MODEL, "ab", temperature=0.0)
