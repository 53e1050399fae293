"""AWRS as a search: right on average about the model's law on a grammar, exactly and by runs."""

import math
import re
from collections.abc import Iterator

import numpy as np
import pytest

from guided import run
from guided.controls import GrammarMask, LogitBias, Temperature, TopK
from guided.decoding.rng import fold
from guided.errors import BudgetError, ControlError, InputError
from guided.grammars.regex import regex
from guided.search import Budget
from guided.search.aligned import growth
from guided.search.aligned.awrs import AWRS
from guided.testing import (
    check_properly_weighted,
    check_search_laws,
    enumerate_sequences,
    table_model,
)

MODEL = table_model(4, seed=2, spread=2.5)
PROMPT = "a"
PATTERN = "(ab?|ba)c?"
LIMIT = 4
OPTIONS = {"heal": False, "max_new_tokens": LIMIT, "draft": None, "regex": PATTERN}


#: Of three tokens, so that all outcomes of the draws can be followed.
SMALL = table_model(3, seed=5, spread=2.0)
SMALL_OPTIONS = OPTIONS | {"regex": "a{0,3}b", "max_new_tokens": 3}


def language(
    controls=(), model=MODEL, pattern=PATTERN, limit=LIMIT
) -> dict[tuple[int, ...], float]:
    """P(w) of every text of the grammar that ends within the limit, by brute force."""
    law = enumerate_sequences(model, model.encode(PROMPT), controls, limit)
    ended = {w: p for w, p in law.items() if w[-1] == 0}
    return {w: p for w, p in ended.items() if re.fullmatch(pattern, model.decode(w))}


def drawn(prompt: str, text: str) -> float:
    return (fold((1, *text.encode())) >> 11) * 2.0**-53


def runs(search: AWRS, count: int, reward=None, **options):
    """Independent runs: equal prompts have random streams of their own."""
    return search.run(MODEL, [PROMPT] * count, reward, at_once=count, **(OPTIONS | options))


# --- exactly, over every outcome of the draws


class Outcomes:
    """Every way that the draws of a run can turn out, one after the other."""

    def __init__(self) -> None:
        self.script: list[int] = []

    def __iter__(self) -> Iterator[None]:
        while True:
            self.sizes: list[int] = []
            self.chance = 1.0
            yield
            while self.script and self.script[-1] + 1 == self.sizes[len(self.script) - 1]:
                self.script.pop()
            if not self.script:
                return
            self.script[-1] += 1

    def choose(self, chances: list[float]) -> int:
        at = len(self.sizes)
        if at == len(self.script):
            self.script.append(0)
        self.sizes.append(len(chances))
        self.chance *= chances[self.script[at]]
        return self.script[at]


def enumerated(monkeypatch, search: AWRS) -> tuple[dict[tuple[int, ...], float], float]:
    """E[exp(log_z) 1{the text is w}] of one particle by text, and E[exp(log_z)]."""
    outcomes = Outcomes()

    class EnumeratedUrn(growth.LogitUrn):
        def chances(self, logits: np.ndarray) -> tuple[list[int], np.ndarray]:
            weights = np.exp(logits - logits.max())
            likely = np.flatnonzero(weights)
            return likely.tolist(), weights[likely] / weights.sum()

        def draw(self) -> tuple[int, float]:
            tokens, chances = self.chances(self._logits)
            token = tokens[outcomes.choose(chances.tolist())]
            return token, float(np.exp(self._logits[token] - self._top))

        def redrawn(self, most: int | None) -> int:
            success = self.left / self.total
            if success == 1:
                return 0
            chances = [(1 - success) ** k * success for k in range(most)]
            return outcomes.choose([*chances, 1 - sum(chances)])

        def restricted(self, mask) -> tuple[int, float] | None:
            found = super().restricted(mask)
            if found is None:
                return None
            bits = np.unpackbits(mask.view(np.uint8), bitorder="little")[: len(self._given)]
            tokens, chances = self.chances(np.where(bits == 1, self._given, -np.inf))
            return tokens[outcomes.choose(chances.tolist())], found[1]

    monkeypatch.setattr(growth, "LogitUrn", EnumeratedUrn)
    weights: dict[tuple[int, ...], float] = {}
    total = everything = 0.0
    for _ in outcomes:
        result = search.run(SMALL, PROMPT, **SMALL_OPTIONS)
        scale = 1.0 if result.log_z is None else math.exp(result.log_z)
        everything += outcomes.chance
        total += outcomes.chance * scale
        for candidate in result.candidates:
            tokens = candidate.result.tokens
            weights[tokens] = weights.get(tokens, 0.0) + outcomes.chance * scale
    assert everything == pytest.approx(1, rel=1e-9)
    return weights, total


@pytest.mark.parametrize(
    "settings",
    [
        {"estimator": "recursive", "mask_after": None},
        {"estimator": "recursive", "mask_after": 1},
        {"estimator": "auto", "mask_after": 1, "max_rejects": 2},
        {"estimator": "recursive", "mask_after": None, "max_rejects": 2},
        {"estimator": "geometric", "max_rejects": 1},
        {"estimator": "two_loop"},
    ],
    ids=lambda settings: ", ".join(f"{name}={value}" for name, value in settings.items()),
)
def test_one_particle_is_exactly_right_on_average(monkeypatch, settings) -> None:
    target = language((), SMALL, "a{0,3}b", 3)
    assert len(target) == 2
    found, total = enumerated(monkeypatch, AWRS(1, **settings))
    assert found == pytest.approx(target, rel=1e-9)
    # Longer texts of the grammar are no part of Z: all have been ended within the budget.
    assert total == pytest.approx(sum(target.values()), rel=1e-9)


@pytest.mark.parametrize("mask_after", [None, 1])
def test_one_improper_particle_is_masked_decoding(monkeypatch, mask_after) -> None:
    search = AWRS(1, estimator="improper", mask_after=mask_after)
    found, total = enumerated(monkeypatch, search)
    controls = [GrammarMask(regex("a{0,3}b"))]
    masked = enumerate_sequences(SMALL, SMALL.encode(PROMPT), controls, 3)
    assert total == pytest.approx(1)
    # A grammar mask ends a text that nothing can follow before its stop token.
    law = {SMALL.decode(w): p for w, p in masked.items()}
    assert {SMALL.decode(w): p for w, p in found.items()} == pytest.approx(law, rel=1e-9)


# --- by runs


@pytest.mark.parametrize(
    "settings",
    [
        {"n": 2},
        {"n": 3, "kappa": 1.0, "resampling": "systematic", "mask_after": None},
        {"n": 3, "estimator": "geometric", "accepts": 3},
        {"n": 3, "block": 2, "kappa": 0.9},
        {"n": 2, "proposal": "mask"},
    ],
    ids=lambda settings: ", ".join(f"{name}={value}" for name, value in settings.items()),
)
def test_particles_are_right_on_average(settings) -> None:
    check_properly_weighted(runs(AWRS(**settings), 80), language(), sigmas=5)


@pytest.mark.parametrize(("proposal", "twist"), [("checks", True), ("mask", False)])
def test_with_a_reward_the_target_is_the_law_times_its_potential(proposal, twist) -> None:
    search = AWRS(3, proposal=proposal, twist=twist, strength=3.0, kappa=0.9)
    target = {w: p * math.exp(3.0 * drawn("", MODEL.decode(w))) for w, p in language().items()}
    check_properly_weighted(runs(search, 80, drawn), target, sigmas=5)


def test_temperature_and_truncation_are_part_of_the_target() -> None:
    target = language([Temperature(0.7), TopK(3)])
    assert target != pytest.approx(language())
    found = runs(AWRS(3), 80, temperature=0.7, top_k=3)
    # A truncation may leave nothing that is legal: then the weight is 0.
    scales = [math.exp(result.log_z) for result in found]
    error = np.std(scales) / len(scales) ** 0.5
    assert abs(np.mean(scales) - sum(target.values())) < 5 * error
    assert {c.result.tokens for r in found for c in r.candidates} <= set(target)


def test_the_result_is_a_draw_of_the_target_as_particles_become_many() -> None:
    target = language()
    total = sum(target.values())

    def distance(search: AWRS) -> float:
        seen = dict.fromkeys(target, 0.0)
        for result in runs(search, 100):
            seen[result.best.tokens] += 1 / 100
        return sum(abs(seen[w] - p / total) for w, p in target.items()) / 2

    masked = AWRS(1, estimator="improper")
    assert distance(AWRS(10)) < 0.13 < 0.15 < distance(masked)


def test_the_standard_error_of_z_is_about_what_z_varies_by() -> None:
    results = runs(AWRS(4, kappa=1.0), 150)
    scales = np.exp([result.log_z for result in results])
    told = np.array([result.certificate.z_error for result in results])
    assert np.mean((told * scales) ** 2) == pytest.approx(np.var(scales), rel=0.5)


# --- what it does and says


def test_equal_seeds_prompts_beside_it_and_budgets_are_treated_as_by_all_searches() -> None:
    options = {"heal": False, "seed": 3, "max_new_tokens": 6, "regex": "(ab|ca)+c"}
    model = table_model(4, seed=3)
    for search in (AWRS(3, kappa=0.9), AWRS(2, proposal="mask")):
        check_search_laws(search, model, ["ab", "ba"], most_at_once=5, **options)
    check_search_laws(AWRS(3, kappa=1.0), model, ["ab", "ba"], drawn, most_at_once=5, **options)


def test_copies_of_a_particle_go_on_differently() -> None:
    # One particle at the start, so that all others are its copies.
    free = {"regex": "[abc]{6}", "max_new_tokens": 7}
    found = AWRS(12, kappa=0.0).run(MODEL, PROMPT, **(OPTIONS | free))
    assert len({c.result.tokens for c in found.candidates}) > 6
    resampled = AWRS(12, kappa=1.0).run(MODEL, PROMPT, **(OPTIONS | free))
    assert resampled.certificate.resamplings > 0
    assert len({c.result.tokens for c in resampled.candidates}) > 3


def test_one_particle_of_the_mask_draws_what_masked_decoding_draws() -> None:
    for seed in range(8):
        found = AWRS(1, proposal="mask").run(MODEL, PROMPT, seed=seed, **OPTIONS)
        plain = run(MODEL, PROMPT, temperature=1.0, seed=seed, **OPTIONS)
        assert found.text == plain.text


def test_the_certificate_counts_and_the_weights_are_those_of_the_result() -> None:
    found = AWRS(5, kappa=0.0, mask_after=None).run(MODEL, PROMPT, **OPTIONS)
    told = found.certificate
    assert told.log_z == found.log_z
    weights = [candidate.weight for candidate in found.candidates]
    assert told.ess == pytest.approx(1 / sum(weight**2 for weight in weights))
    assert (told.particles, told.dead, told.resamplings, told.masks) == (5, 0, 0, 0)
    assert told.families == 5
    assert (
        told.tokens == found.spent["tokens"] == sum(len(c.result.tokens) for c in found.candidates)
    )
    assert 1 < told.checks_per_token <= 5
    # log_q is log P less the log-weight.
    logs = [sum(c.result.log_p) - sum(c.result.log_q) for c in found.candidates]
    total = sum(map(math.exp, logs))
    assert weights == pytest.approx([math.exp(log) / total for log in logs])
    assert found.log_z == pytest.approx(math.log(total / 5))
    masked = AWRS(5, proposal="mask").run(MODEL, PROMPT, **OPTIONS).certificate
    assert (masked.checks, masked.masks) == (0, masked.tokens)


def test_where_nothing_is_accepted_it_ends_and_says_so() -> None:
    # The model says nothing but "b" here, which the grammar does not begin with.
    options = OPTIONS | {"regex": "ac", "top_k": 1, "controls": [LogitBias({2: 50.0})]}
    for settings in ({}, {"mask_after": None}, {"estimator": "geometric"}, {"proposal": "mask"}):
        found = AWRS(3, **settings).run(MODEL, PROMPT, **options)
        assert found.stopped == "no_mass"
        assert found.log_z == -math.inf
        assert found.candidates == ()
        assert found.best.finish_reason == "rejected"
        assert (found.certificate.dead, found.certificate.ess) == (3, 0.0)
    limited = AWRS(3, max_rejects=1).run(MODEL, PROMPT, **options)
    assert limited.stopped == "attempts"


def test_particles_that_die_are_replaced_and_lower_the_estimate() -> None:
    found = runs(AWRS(4, max_rejects=1), 60)
    assert any(0 < r.certificate.dead < 4 for r in runs(AWRS(4, max_rejects=1, kappa=0.0), 60))
    scales = [math.exp(result.log_z) for result in found]
    error = np.std(scales) / len(scales) ** 0.5
    assert abs(np.mean(scales) - sum(language().values())) < 5 * error


def test_a_budget_leaves_partial_texts_as_they_are() -> None:
    found = AWRS(4).run(MODEL, PROMPT, budget=Budget(tokens=5), **OPTIONS)
    assert found.stopped == "tokens"
    assert found.log_z is None
    assert found.best.finish_reason == "cut"


def test_what_cannot_work_is_refused_before_any_pass() -> None:
    for wrong in [
        {"n": 0}, {"proposal": "luck"}, {"estimator": "best"}, {"accepts": 1},
        {"accepts": 3, "estimator": "recursive"}, {"max_rejects": 0}, {"mask_after": 0},
        {"max_rejects": 3, "estimator": "two_loop"}, {"kappa": 2.0}, {"resampling": "best"},
        {"proposal": "mask", "estimator": "recursive"}, {"select": "luck"}, {"form": "cube"},
    ]:  # fmt: skip
        with pytest.raises(InputError):
            AWRS(**wrong)
    with pytest.raises(InputError, match="needs a reward"):
        AWRS(select="reward").run(MODEL, PROMPT, **OPTIONS)
    with pytest.raises(ControlError, match="grammar"):
        AWRS().run(MODEL, PROMPT)
    with pytest.raises(ControlError, match="stop strings"):
        AWRS().run(MODEL, PROMPT, stop="c", **OPTIONS)
    with pytest.raises(BudgetError):
        AWRS().run(MODEL, PROMPT, **(OPTIONS | {"max_new_tokens": 1}))
    with pytest.raises(InputError, match="greedy"):
        AWRS().run(MODEL, PROMPT, temperature=0.0, **OPTIONS)


def test_ctrl_c_while_tokens_are_checked_leaves_the_best_so_far(monkeypatch) -> None:
    draw, draws = growth.CheckedGrowth._draw, []

    def interrupted(self, branch, law):
        draws.append(branch)
        if len(draws) > 5:
            raise KeyboardInterrupt
        return draw(self, branch, law)

    monkeypatch.setattr(growth.CheckedGrowth, "_draw", interrupted)
    found = AWRS(2).run(MODEL, [PROMPT, PROMPT], **(OPTIONS | {"regex": "[abc]{3}"}))
    assert [result.stopped for result in found] == ["interrupt", "interrupt"]
    assert len(found[0].best.tokens) >= 1
