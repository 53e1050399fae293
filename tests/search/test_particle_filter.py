"""Particle filtering, and particle Gibbs, on models that can be enumerated."""

import math
import re
from collections import Counter

import pytest

from guided import run
from guided.errors import InputError
from guided.search import SMC, Budget, ParticleFilter
from guided.search.potential import Potential
from guided.testing import check_properly_weighted, enumerate_sequences, table_model
from guided.trace import Trace

MODEL = table_model(3, seed=1, horizon=5)
PROMPT = MODEL.encode("ab")
#: One token a pass: drafts change nothing, and cost time on a table.
OPTIONS = {"heal": False, "max_new_tokens": 5, "draft": None, "temperature": 1.0}
LAW = enumerate_sequences(MODEL, PROMPT, max_new_tokens=5)


def reward(prompt: str, text: str) -> float:
    return 0.35 + 0.1 * text.count("a") + 0.2 * (text[:1] == text[-1:])


def prefixes(tokens):
    return [MODEL.decode(tokens[: end + 1]) for end in range(len(tokens))]


def target(potential):
    return {
        t: p * math.exp(sum(potential.log_value(reward("", text)) for text in prefixes(t)))
        for t, p in LAW.items()
    }


def runs(search, count=80, score=reward, **options):
    """Independent runs: equal prompts have random streams of their own."""
    return search.run(MODEL, ["ab"] * count, score, at_once=count, **(OPTIONS | options))


@pytest.mark.parametrize(
    ("form", "resampling"),
    [("odds", "multinomial"), ("odds", "systematic"), ("power", "residual")],
)
def test_weights_are_right_on_average_where_complete_particles_are_set_aside(
    form, resampling
) -> None:
    search = ParticleFilter(4, form=form, resample_inactive=False, block=1, resampling=resampling)
    check_properly_weighted(runs(search), target(Potential(form)))


def test_it_is_smc_with_the_odds_of_every_step() -> None:
    smc = SMC(4, base="drawn", form="odds", strength=1.0, telescoping=False, block=1, kappa=1.0)
    check_properly_weighted(runs(smc), target(Potential("odds")))


def test_where_all_texts_end_together_both_ways_to_resample_are_one() -> None:
    model = table_model(3, seed=2, horizon=4)
    settings = {"n": 5, "block": 1, "resampling": "multinomial"}
    options = OPTIONS | {"regex": "[ab]{2}", "max_new_tokens": 3}
    both = [
        ParticleFilter(**settings, resample_inactive=inactive).run(
            model, "ab", reward, seed=3, **options
        )
        for inactive in (True, False)
    ]
    assert [c.result.tokens for c in both[0].candidates] == [
        c.result.tokens for c in both[1].candidates
    ]
    assert [c.weight for c in both[0].candidates] == pytest.approx(
        [c.weight for c in both[1].candidates], abs=1e-12
    )
    assert both[0].log_z is None
    assert both[1].log_z is not None


def test_a_constant_reward_makes_resampling_uniform_and_weighted_votes_plain() -> None:
    trace = Trace()
    votes = []
    for select in ("majority", "weighted_majority"):
        search = ParticleFilter(
            9, block=1, select=select, resample_inactive=False, answer=lambda t: t or "nothing"
        )
        found = search.run(MODEL, "ab", lambda p, t: 0.5, seed=8, trace=trace, **OPTIONS)
        assert [c.weight for c in found.candidates] == pytest.approx([1 / 9] * 9, abs=1e-12)
        counts = Counter(c.result.text for c in found.candidates)
        assert counts[found.text] == max(counts.values())
        votes.append(found.text)
    assert votes[0] == votes[1]
    rounds = [record for record in trace.records if record["kind"] == "round"]
    assert all(record["info"]["ess"] == pytest.approx(9, abs=1e-9) for record in rounds)


def test_one_particle_is_one_sample() -> None:
    for seed in range(5):
        found = ParticleFilter(1, block=1).run(MODEL, "ab", reward, seed=seed, **OPTIONS)
        assert found.best.tokens == run(MODEL, "ab", seed=seed, **OPTIONS).tokens


def test_the_chance_to_be_copied_is_proportional_to_the_odds() -> None:
    def score(prompt: str, text: str) -> float:
        return 0.8 if text.startswith("a") else 0.5

    trace = Trace()
    search = ParticleFilter(30, block=1, resample_inactive=False)
    search.run(MODEL, ["ab"] * 12, score, trace=trace, at_once=12, **OPTIONS)
    nodes = {(r["problem"], r["id"]): r for r in trace.records if r["kind"] == "node"}
    copies, expected = 0, 0.0
    for record in trace.records:
        if record["kind"] != "round" or record["number"] != 1:
            continue
        live = [n for n in record["alive"] if not nodes[record["problem"], n]["reason"]]
        good = {n for n in live if nodes[record["problem"], n]["text"] == "a"}
        resampled = [n for n in record["info"]["resampled"] if n in live]
        copies += sum(n in good for n in resampled)
        expected += len(live) * 4 * len(good) / (4 * len(good) + len(live) - len(good))
    assert copies == pytest.approx(expected, abs=4 * math.sqrt(expected))
    assert copies > 0


def test_under_a_grammar_only_valid_texts_come_out() -> None:
    search = ParticleFilter(4, block=1, sweeps=2)
    for result in runs(search, 10, regex="(a|b)b?a"):
        assert all(re.fullmatch("(a|b)b?a", c.result.text) for c in result.candidates)


def total_variation(results, goal) -> float:
    total, seen = sum(goal.values()), dict.fromkeys(goal, 0.0)
    for result in results:
        seen[result.best.tokens] += 1 / len(results)
    return sum(abs(seen[t] - goal[t] / total) for t in goal) / 2


def test_sweeps_of_particle_gibbs_lead_to_the_target() -> None:
    def score(prompt: str, text: str) -> float:
        return 0.9 if text.startswith("a") else 0.3

    potential = Potential("power", 2.0)
    goal = {
        t: p * math.exp(sum(potential.log_value(score("", text)) for text in prefixes(t)))
        for t, p in LAW.items()
    }
    settings = {"n": 4, "form": "power", "strength": 2.0, "block": 1, "select": "sample"}
    once = runs(ParticleFilter(**settings, resample_inactive=False), 80, score)
    often = runs(ParticleFilter(**settings, resample_inactive=False, sweeps=6), 80, score)
    assert total_variation(often, goal) < 0.15 < 0.3 < total_variation(once, goal)


def test_a_sweep_retains_a_trajectory_of_the_one_before() -> None:
    found = ParticleFilter(3, block=1, sweeps=3).run(MODEL, "ab", reward, seed=2, **OPTIONS)
    # Two of the nine places are taken by trajectories that are there already.
    assert len(found.candidates) == 7
    assert sum(c.weight for c in found.candidates) == pytest.approx(1, abs=1e-9)


def test_a_sweep_that_the_budget_cuts_leaves_those_before() -> None:
    full = ParticleFilter(3, block=1).run(MODEL, "ab", reward, seed=2, **OPTIONS)
    budget = Budget(tokens=int(full.spent["tokens"]) + 2)
    cut = ParticleFilter(3, block=1, sweeps=3).run(
        MODEL, "ab", reward, seed=2, budget=budget, **OPTIONS
    )
    assert cut.stopped == "tokens"
    assert {c.result.tokens for c in full.candidates} <= {c.result.tokens for c in cut.candidates}


def test_what_cannot_work_is_refused_before_any_pass() -> None:
    for wrong in [
        {"n": 0}, {"sweeps": 0}, {"sweeps": 2, "resampling": "systematic"},
        {"sweeps": 2, "n": 1}, {"form": "log"}, {"select": "luck"}, {"block": 0},
    ]:  # fmt: skip
        with pytest.raises(InputError):
            ParticleFilter(**wrong)
    with pytest.raises(InputError, match="needs a reward"):
        ParticleFilter().run(MODEL, "ab")
