"""Power-SMC: right on average about p ** alpha, and plain sampling where alpha is 1."""

import math
import re

import pytest

from guided import run
from guided.controls import Temperature, TopK
from guided.errors import InputError
from guided.search import BestOfN, Budget, PowerSMC
from guided.testing import check_properly_weighted, enumerate_sequences, table_model
from guided.trace import Trace

MODEL = table_model(3, seed=1, horizon=5)
PROMPT = MODEL.encode("ab")
#: One token a pass: drafts change nothing, and cost time on a table.
OPTIONS = {"heal": False, "max_new_tokens": 5, "draft": None}
ALPHA = 2.0
LAW = enumerate_sequences(MODEL, PROMPT, max_new_tokens=5)
POWER = {tokens: p**ALPHA for tokens, p in LAW.items()}


def runs(search, count, **options):
    """Independent runs: equal prompts have random streams of their own."""
    prompts = ["ab"] * count
    return search.run(MODEL, prompts, at_once=count, **(OPTIONS | options))


@pytest.mark.parametrize("resampling", ["multinomial", "stratified", "systematic", "residual"])
def test_weights_are_right_on_average_with_every_resampler(resampling) -> None:
    search = PowerSMC(4, ALPHA, block=1, kappa=1.0, resampling=resampling)
    check_properly_weighted(runs(search, 100), POWER)


@pytest.mark.parametrize(
    "settings",
    [
        {"kappa": 0.0},
        {"block": 2, "kappa": 0.9},
        {"ramp": 3},
        {"ramp": 3, "proposal": "final"},
        # Texts end long before the ramp does: the last stage has to catch up.
        {"ramp": 12, "stages": 4, "block": 2},
    ],
)
def test_weights_are_right_on_average_with_every_bridge_and_block(settings) -> None:
    search = PowerSMC(**{"n": 4, "alpha": ALPHA, "block": 1, "kappa": 0.9} | settings)
    check_properly_weighted(runs(search, 100), POWER)


@pytest.mark.parametrize(("temperature", "ramp"), [(1.0, 0), (0.8, 3)])
def test_a_temperature_is_another_proposal_of_the_same_target(temperature, ramp) -> None:
    search = PowerSMC(6, ALPHA, block=1, kappa=0.8, ramp=ramp)
    check_properly_weighted(runs(search, 100, temperature=temperature), POWER)


def test_under_a_grammar_the_target_is_the_power_restricted_to_it() -> None:
    pattern = "a?b?(ab|b)"
    inside = {tokens: p**ALPHA for tokens, p in restricted(pattern).items()}
    assert 1 < len(inside) < len(POWER)
    found = runs(PowerSMC(4, ALPHA, block=1, kappa=0.9, ramp=2), 100, regex=pattern)
    check_properly_weighted(found, inside)
    assert all(re.fullmatch(pattern, c.result.text) for r in found for c in r.candidates)


def restricted(pattern: str) -> dict[tuple[int, ...], float]:
    """The raw probabilities of what a grammar lets be drawn.

    That is a word and the stop token, or a word that no other one goes on from: it ends alone.
    """
    words = {t for t in LAW if re.fullmatch(pattern, MODEL.decode(t))}
    texts = {t[:-1] for t in words}
    final = {t for t in texts if not any(o[: len(t)] == t and o != t for o in texts)}
    stopped = {t: LAW[t] for t in words if t[:-1] not in final}
    return stopped | {t: sum(p for o, p in LAW.items() if o[: len(t)] == t) for t in final}


def test_a_truncation_restricts_the_target_too() -> None:
    kept = enumerate_sequences(MODEL, PROMPT, [TopK(2)], max_new_tokens=5)
    inside = {tokens: POWER[tokens] for tokens in kept}
    assert len(inside) < len(POWER)
    check_properly_weighted(runs(PowerSMC(4, ALPHA, block=1), 100, top_k=2), inside)


def total_variation(results) -> float:
    total, seen = sum(POWER.values()), dict.fromkeys(POWER, 0.0)
    for result in results:
        seen[result.best.tokens] += 1 / len(results)
    return sum(abs(seen[t] - POWER[t] / total) for t in POWER) / 2


def test_the_result_is_a_draw_of_the_target_as_particles_become_many() -> None:
    # One particle is a draw at temperature 1 / alpha, which has another law.
    few, many = runs(PowerSMC(1, ALPHA), 120), runs(PowerSMC(16, ALPHA, block=1), 120)
    assert total_variation(many) < 0.12 < 0.16 < total_variation(few)


def test_sampling_each_token_at_temperature_one_over_alpha_is_another_law() -> None:
    tokenwise = enumerate_sequences(MODEL, PROMPT, [Temperature(1 / ALPHA)], max_new_tokens=5)
    total = sum(POWER.values())
    distance = sum(abs(tokenwise[t] - POWER[t] / total) for t in POWER) / 2
    assert distance > 0.1


def test_alpha_one_is_plain_sampling_and_never_resamples() -> None:
    trace = Trace()
    found = PowerSMC(5, 1.0, block=1, kappa=1.0).run(MODEL, "ab", trace=trace, seed=3, **OPTIONS)
    assert found.log_z == 0.0
    assert [c.weight for c in found.candidates] == pytest.approx([0.2] * 5, abs=1e-12)
    rounds = [record for record in trace.records if record["kind"] == "round"]
    assert [record["info"]["resampled"] for record in rounds] == [[]] * len(rounds)
    assert tokens(found) == tokens(independent(5, 1.0, seed=3))


def tokens(result) -> list[tuple[int, ...]]:
    return sorted(c.result.tokens for c in result.candidates)


def independent(n, temperature, seed):
    """As many independent samples."""
    search, options = BestOfN(n), {"temperature": temperature, "seed": seed}
    return search.run(MODEL, "ab", lambda prompt, text: 0.0, **(OPTIONS | options))


def test_without_resampling_particles_are_independent_draws_at_the_proposal() -> None:
    for block in (1, 2, 9):
        found = PowerSMC(5, ALPHA, block=block, kappa=0.0).run(MODEL, "ab", seed=4, **OPTIONS)
        assert tokens(found) == tokens(independent(5, 1 / ALPHA, seed=4))


def test_one_particle_is_one_sample() -> None:
    for seed in range(6):
        found = PowerSMC(1, ALPHA, block=1).run(MODEL, "ab", seed=seed, **OPTIONS)
        plain = run(MODEL, "ab", temperature=1 / ALPHA, seed=seed, **OPTIONS)
        assert found.best.tokens == plain.tokens


@pytest.mark.parametrize("ramp", [0, 1])
def test_a_ramp_of_at_most_one_token_changes_nothing(ramp) -> None:
    plain = PowerSMC(5, ALPHA, block=1, kappa=0.9).run(MODEL, "ab", seed=6, **OPTIONS)
    ramped = PowerSMC(5, ALPHA, block=1, kappa=0.9, ramp=ramp).run(MODEL, "ab", seed=6, **OPTIONS)
    assert [c.result.tokens for c in plain.candidates] == [
        c.result.tokens for c in ramped.candidates
    ]
    assert plain.log_z == ramped.log_z


def test_guesses_ahead_change_no_token_and_no_weight() -> None:
    for seed in range(3):
        plain, drafted = (
            PowerSMC(5, ALPHA, block=2, kappa=0.9, ramp=3).run(
                MODEL, "ab", seed=seed, **(OPTIONS | {"draft": draft})
            )
            for draft in (None, "auto")
        )
        assert [c.result.tokens for c in plain.candidates] == [
            c.result.tokens for c in drafted.candidates
        ]
        assert plain.log_z == pytest.approx(drafted.log_z, abs=1e-9)


def test_weights_and_log_z_are_those_of_the_texts_where_nothing_was_resampled() -> None:
    found = PowerSMC(6, ALPHA, kappa=0.0).run(MODEL, "ab", seed=2, **OPTIONS)
    logs = [ALPHA * sum(c.result.log_p) - sum(c.result.log_q) for c in found.candidates]
    total = sum(map(math.exp, logs))
    assert [c.weight for c in found.candidates] == pytest.approx(
        [math.exp(log) / total for log in logs], abs=1e-9
    )
    assert found.log_z == pytest.approx(math.log(total / 6), abs=1e-9)


def test_a_budget_leaves_the_best_so_far_and_no_estimate() -> None:
    found = PowerSMC(4, ALPHA, block=1).run(MODEL, "ab", budget=Budget(tokens=6), **OPTIONS)
    assert found.stopped == "tokens"
    assert found.log_z is None
    assert found.best.tokens


def test_what_cannot_work_is_refused_before_any_pass() -> None:
    for wrong in [
        {"n": 0}, {"alpha": 0.0}, {"alpha": math.nan}, {"block": 0}, {"ramp": -1},
        {"stages": 3}, {"proposal": "flat"}, {"kappa": 1.5}, {"resampling": "best"},
        {"select": "luck"},
    ]:  # fmt: skip
        with pytest.raises(InputError):
            PowerSMC(**wrong)
    with pytest.raises(InputError, match="needs a reward"):
        PowerSMC(select="reward").run(MODEL, "ab")
    with pytest.raises(InputError, match="greedy"):
        PowerSMC().run(MODEL, "ab", temperature=0.0)
