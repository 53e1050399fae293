"""MCMC on table models: draws have exactly the law that the kernel's matrix says."""

import itertools
import math

import numpy as np
import pytest
import torch

from guided.errors import ControlError, InputError
from guided.search import Budget
from guided.search.aligned.mcmc import MCMC
from guided.search.aligned.metropolis import log_acceptance, log_proposal
from guided.testing import check_search_laws, fake_model, table_model, tiny_model
from tests.search.aligned.languages import Exact, chi_square, exact

MODEL = table_model(3, seed=26)
PROMPT = MODEL.encode("ab")
PATTERN = "a(b|ab?)?|bb*a?"
WORDS = [
    word
    for length in range(1, 5)
    for word in itertools.product((1, 2), repeat=length)
    if word in {(1,), (1, 2), (1, 1), (1, 1, 2)}
    or (word[0] == 2 and set(word[1:-1]) <= {2} and set(word[-1:]) <= {1, 2})
]
OPTIONS = {"regex": PATTERN, "max_new_tokens": 5, "heal": False}
EXACT = exact(MODEL, PROMPT, WORDS)
VARIANTS = ["restart", "prefix", "priority"]


def draws(search, **options):
    found = search.run(MODEL, "ab", **(OPTIONS | options))
    return [each.result.tokens for each in found.candidates]


def law_after(known: Exact, variant: str, steps: int) -> np.ndarray:
    """The law of a chain that starts from a masked draw."""
    size = len(known.courses)
    kernel = np.zeros((size, size))
    for i, old in enumerate(known.courses):
        for j, new in enumerate(known.courses):
            chance = log_proposal(variant, old, new) + log_acceptance(variant, old, new)
            kernel[i, j] = math.exp(chance)
        # What is not accepted stays.
        kernel[i, i] += 1 - kernel[i].sum()
    return known.g @ np.linalg.matrix_power(kernel, steps)


def test_the_language_is_the_one_that_is_meant() -> None:
    assert EXACT.g.sum() == pytest.approx(1, abs=1e-12)
    assert np.abs(EXACT.g - EXACT.q).sum() / 2 > 0.4


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("steps", [1, 3])
def test_the_end_of_a_chain_has_the_law_of_the_exact_matrix(variant, steps) -> None:
    drawn = draws(MCMC(200, steps, variant, batch=200), seed=steps)
    counts = EXACT.counts(drawn)
    assert counts.sum() == 200
    assert chi_square(counts, law_after(EXACT, variant, steps)) < 5


def test_a_wrong_law_would_be_noticed() -> None:
    # The test above tells the matrix from its neighbours, with as many draws.
    drawn = draws(MCMC(200, 0, batch=200))
    assert chi_square(EXACT.counts(drawn), EXACT.g) < 5
    assert chi_square(EXACT.counts(drawn), EXACT.q) > 5


def test_long_chains_draw_from_the_target() -> None:
    assert np.abs(law_after(EXACT, "restart", 20) - EXACT.q).sum() < 0.05
    drawn = draws(MCMC(80, 20, batch=1680), seed=3)
    assert chi_square(EXACT.counts(drawn), EXACT.q) < 5


def test_temperature_and_penalty_are_part_of_the_law() -> None:
    def warp(logits, prefix):
        seen = torch.zeros_like(logits, dtype=torch.bool)
        seen[list(prefix)] = True
        penalised = torch.where(logits > 0, logits / 1.5, logits * 1.5)
        return torch.where(seen, penalised, logits) / 0.7

    known = exact(MODEL, PROMPT, WORDS, warp)
    assert np.abs(known.q - EXACT.q).sum() > 0.1
    drawn = draws(MCMC(150, 6, batch=1050), temperature=0.7, repetition_penalty=1.5)
    assert chi_square(known.counts(drawn), law_after(known, "restart", 6)) < 5


def test_a_truncation_is_taken_before_the_mask_and_dead_ends_are_never_drawn() -> None:
    def warp(logits, prefix):
        return torch.where(logits >= logits.topk(2).values[-1], logits, -torch.inf)

    known = exact(MODEL, MODEL.encode("aba"), WORDS, warp)
    assert 3 < len(known.courses) < len(WORDS)
    # The mask leads into dead ends, where what it allows was taken by the truncation.
    assert known.g.sum() < 0.99
    found = MCMC(150, 12, batch=1950).run(MODEL, "aba", top_k=2, seed=1, **OPTIONS)
    drawn = [each.result.tokens for each in found.candidates]
    assert len(drawn) == 150
    assert chi_square(known.counts(drawn), known.q) < 5


@pytest.mark.parametrize("variant", VARIANTS)
def test_guesses_ahead_and_other_prompts_change_nothing(variant) -> None:
    search = MCMC(6, 4, variant)
    plain = draws(search, draft=None)
    assert draws(search, draft="auto") == plain
    together = search.run(MODEL, ["ba", "ab", "ab"], **OPTIONS)
    assert [each.result.tokens for each in together[1].candidates] == plain
    assert [each.result.tokens for each in together[2].candidates] != plain


def test_draws_are_listed_in_the_order_of_their_chains() -> None:
    # An order by acceptance would put texts first that the chain is loth to leave.
    found = MCMC(40, 3).run(MODEL, "ab", **OPTIONS)
    ids = [each.result.tokens for each in found.candidates]
    assert found.best.tokens == ids[0]
    runs = MCMC(3, 2).run(MODEL, ["ab"] * 60, at_once=60, **OPTIONS)
    firsts = [result.candidates[0].result.tokens for result in runs]
    counts = EXACT.counts(firsts)
    assert chi_square(counts, law_after(EXACT, "restart", 2)) < 5


def test_the_estimate_of_the_mass_is_unbiased() -> None:
    found = MCMC(200, 1, batch=400).run(MODEL, "ab", **OPTIONS)
    ratios = np.exp([course.log_m.sum() for course in EXACT.courses])
    deviation = math.sqrt(float(EXACT.g @ (ratios - EXACT.z) ** 2) / 400)
    assert math.exp(found.log_z) == pytest.approx(EXACT.z, abs=4 * deviation)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_certificate_bounds_the_distance(variant) -> None:
    for steps in (0, 1, 8):
        told = MCMC(4, steps, variant).run(MODEL, "ab", **OPTIONS).certificate
        true = float(np.abs(law_after(EXACT, variant, steps) - EXACT.q).sum() / 2)
        assert (told.variant, told.chains, told.steps, told.moves) == (variant, 4, steps, 4 * steps)
        assert true <= told.distance <= 1
        assert told.log_drawn <= math.log(EXACT.z) + 1e-12
        assert 0 <= told.accepted <= told.moves
    if variant == "restart":
        # Nearly all texts have been seen, so that the bound is about (1 - Z) ** steps.
        many = MCMC(60, 4).run(MODEL, "ab", **OPTIONS).certificate
        assert many.distance == pytest.approx((1 - EXACT.z) ** 4, rel=0.2)


def test_proposals_of_several_moves_grow_together() -> None:
    rounds = []
    MCMC(4, 10, batch=64).run(MODEL, "ab", progress=rounds.append, **OPTIONS)
    assert len(rounds) == 1
    rounds = []
    MCMC(4, 10, "prefix", batch=64).run(MODEL, "ab", progress=rounds.append, **OPTIONS)
    assert len(rounds) == 11
    rounds = []
    MCMC(10, 1, "prefix", batch=4).run(MODEL, "ab", progress=rounds.append, **OPTIONS)
    assert len(rounds) == 6


def test_a_budget_gives_the_chains_where_they_are() -> None:
    whole = MCMC(5, 50, "prefix").run(MODEL, "ab", **OPTIONS)
    half = int(whole.spent["tokens"]) // 2
    found = MCMC(5, 50, "prefix").run(MODEL, "ab", budget=Budget(tokens=half), **OPTIONS)
    assert found.stopped == "tokens"
    assert len(found.candidates) == 5
    assert {each.result.tokens for each in found.candidates} <= set(EXACT.tokens)


def test_a_reward_chooses_among_the_draws() -> None:
    def longest(prompt, text):
        return float(len(text))

    found = MCMC(30, 2).run(MODEL, "ab", longest, **OPTIONS)
    assert found.score == max(len(each.result.text) for each in found.candidates)


def test_it_obeys_the_laws_of_searches() -> None:
    model = tiny_model()
    check_search_laws(
        MCMC(3, 2, "priority"), model, ["ab", "ba"], regex="[a-c]{1,3}x?", max_new_tokens=8
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"steps": -1}, "steps must be at least 0"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"variant": "uniform"}, "variant='uniform' is unknown"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, message) -> None:
    with pytest.raises(InputError, match=message):
        MCMC(**wrong)


def test_what_has_nothing_to_align_is_refused_before_any_pass() -> None:
    model = fake_model("[1]")
    with pytest.raises(ControlError, match="there is none; give schema="):
        MCMC().run(model, "x")
    with pytest.raises(ControlError, match="StopStrings"):
        MCMC().run(model, "x", regex="a*", stop="b")
    with pytest.raises(InputError, match="greedy"):
        MCMC().run(model, "x", regex="a*", temperature=0.0)
