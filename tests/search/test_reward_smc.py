"""SMC with a reward: right on average about its target, whatever looks ahead, moves or cuts."""

import math
import re
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

from guided.controls import Control, Stage, Temperature, TopK
from guided.errors import InputError
from guided.rewards import Score, Scorer
from guided.search import SMC, BestOfN, PowerSMC, Tokens
from guided.search.moves import cut_block, log_acceptance, poor_copies
from guided.search.potential import Potential
from guided.testing import check_properly_weighted, enumerate_sequences, table_model

MODEL = table_model(3, seed=1, horizon=5)
PROMPT = MODEL.encode("ab")
#: One token a pass: drafts change nothing, and cost time on a table.
OPTIONS = {"heal": False, "max_new_tokens": 5, "draft": None}
LAW = enumerate_sequences(MODEL, PROMPT, max_new_tokens=5)
ALPHA = 2.0


def tempered(alpha: float) -> dict[tuple[int, ...], float]:
    return enumerate_sequences(MODEL, PROMPT, [Temperature(1 / alpha)], max_new_tokens=5)


def reward(prompt: str, text: str) -> float:
    """Likes a's, and texts that end as they began."""
    return 0.15 + 0.2 * text.count("a") + 0.1 * (text[:1] == text[-1:])


def prefixes(tokens, block):
    """What a text is at the end of each block; the stop token ends the last one."""
    ends = [*range(block, len(tokens), block), len(tokens)]
    return [MODEL.decode(tokens[:end]) for end in ends]


def target(base, potential, block=1):
    """The unnormalised target of every text."""
    if potential.telescoping:
        logs = {t: potential.log_value(reward("", MODEL.decode(t))) for t in base}
    else:
        logs = {
            t: sum(potential.log_value(reward("", text)) for text in prefixes(t, block))
            for t in base
        }
    return {t: p * math.exp(logs[t]) for t, p in base.items()}


def runs(search, count=60, score=reward, **options):
    """Independent runs: equal prompts have random streams of their own."""
    return search.run(MODEL, ["ab"] * count, score, at_once=count, **(OPTIONS | options))


SETTINGS = [
    {},
    {"block": 2, "kappa": 0.6, "resampling": "residual"},
    {"form": "power", "strength": 1.5},
    {"form": "odds", "telescoping": False, "block": 2},
    {"telescoping": False},
    {"lookahead": 2},
    {"lookahead": 1, "telescoping": False},
    {"lookahead": 2, "rollout_temperature": 0.4},
    {"moves": 2},
    {"moves": 1, "lookahead": 1, "block": 2, "kappa": 1.0},
    {"moves": 1, "telescoping": False},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_weights_are_right_on_average(settings) -> None:
    search = SMC(**{"n": 4, "strength": 2.0, "block": 1, "kappa": 0.9} | settings)
    potential = Potential(search.form, search.strength, search.telescoping)
    check_properly_weighted(runs(search), target(LAW, potential, search.block))


@pytest.mark.parametrize("settings", [{}, {"lookahead": 2}, {"moves": 1}], ids=str)
def test_so_they_are_about_the_powered_base(settings) -> None:
    search = SMC(4, "powered", ALPHA, strength=1.0, block=1, kappa=0.9, **settings)
    powered = {t: p**ALPHA for t, p in LAW.items()}
    check_properly_weighted(runs(search), target(powered, Potential("exp", 1.0)))


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"temperature": 1.0}], ids=str)
def test_so_they_are_about_the_tempered_base_whatever_is_drawn_from(options) -> None:
    search = SMC(4, "tempered", ALPHA, strength=2.0, block=1, kappa=0.9)
    base = tempered(ALPHA)
    if "top_k" in options:
        # A truncation restricts the target.
        base = {t: base[t] for t in enumerate_sequences(MODEL, PROMPT, [TopK(2)], 5)}
        assert len(base) < len(LAW)
    check_properly_weighted(runs(search, **options), target(base, Potential("exp", 2.0)))


def test_under_a_grammar_the_target_is_restricted_to_it_and_not_masked_token_by_token() -> None:
    pattern = "(a|b)b?a"
    base = {t: p for t, p in tempered(ALPHA).items() if re.fullmatch(pattern, MODEL.decode(t))}
    texts = {t[:-1] for t in base}
    # A word that nothing goes on from ends alone, without a stop token.
    ends = {t for t in texts if not any(o[: len(t)] == t and o != t for o in texts)}
    whole = tempered(ALPHA)
    sums = {t: sum(p for o, p in whole.items() if o[: len(t)] == t) for t in ends}
    base = {t: p for t, p in base.items() if t[:-1] not in ends} | sums
    search = SMC(4, "tempered", ALPHA, strength=2.0, block=1, kappa=0.9)
    found = runs(search, 60, regex=pattern)
    check_properly_weighted(found, target(base, Potential("exp", 2.0)))
    assert all(re.fullmatch(pattern, c.result.text) for r in found for c in r.candidates)


def test_blocks_may_be_steps_of_the_segmenter() -> None:
    by_steps = runs(SMC(4, strength=2.0, kappa=0.9), 3, segmenter=Tokens(1))
    by_tokens = runs(SMC(4, strength=2.0, kappa=0.9, block=1), 3)
    for one, other in zip(by_steps, by_tokens, strict=True):
        assert one.log_z == other.log_z
        assert [c.result.tokens for c in one.candidates] == [
            c.result.tokens for c in other.candidates
        ]


# --- exact lookahead


@cache
def value(prefix: tuple[int, ...], alpha: float) -> float:
    """The sum of base times ψ over the completions of a prefix, by recursion."""
    if prefix[-1:] == (0,):
        return math.exp(2 * reward("", MODEL.decode(prefix)))
    return sum(
        p * value((*prefix, token), alpha) for token, p in enumerate(base_law(prefix, alpha)) if p
    )


def base_law(prefix, alpha):
    whole = [*PROMPT, *prefix]
    raw = MODEL.network.forward(torch.tensor([whole]), None, None, None).logits[0, -1]
    return (raw.double() * alpha).softmax(-1).tolist()


@dataclass(frozen=True)
class Ideal(Control):
    """The proposal q ∝ m ψ L."""

    alpha: float
    stage: ClassVar[Stage] = Stage.CORRECTION

    def begin(self, context):
        return ()

    def step(self, state, token):
        return (*state, token)

    def apply(self, logits, states, aux=None):
        for row, state in zip(logits, states, strict=True):
            law = base_law(state, self.alpha)
            tilted = [p * value((*state, t), self.alpha) if p else 0.0 for t, p in enumerate(law)]
            row[:] = torch.tensor(tilted, dtype=torch.float64).log()
        return logits, states


@pytest.mark.parametrize("alpha", [1.0, ALPHA])
@pytest.mark.parametrize("block", [1, 2])
def test_the_exact_lookahead_with_its_proposal_gives_z_in_every_run(alpha, block) -> None:
    def log_ahead(prompt, continuation):
        text = continuation.text
        return math.log(value(continuation.tokens, alpha)) - 2 * reward("", text)

    search = SMC(3, "tempered", alpha, strength=2.0, block=block, lookahead=log_ahead, kappa=1.0)
    found = runs(search, 4, controls=[Ideal(alpha)])
    for result in found:
        assert result.log_z == pytest.approx(math.log(value((), alpha)), abs=1e-9)
        assert [c.weight for c in result.candidates] == pytest.approx([1 / 3] * 3, abs=1e-9)


def test_intermediate_laws_with_the_exact_lookahead_are_the_marginals_of_the_target() -> None:
    # After one block γ of a first token is base times potentials times L.
    goal = target(LAW, Potential("exp", 2.0))
    for first in (0, 1, 2):
        marginal = sum(g for t, g in goal.items() if t[0] == first)
        assert base_law((), 1.0)[first] * value((first,), 1.0) == pytest.approx(marginal, abs=1e-9)


# --- limiting cases


def test_without_a_reward_to_speak_of_it_is_plain_sampling_at_the_temperature() -> None:
    for seed in range(3):
        options = OPTIONS | {"seed": seed}
        found = SMC(5, "tempered", ALPHA, block=1, kappa=1.0).run(
            MODEL, "ab", lambda p, t: 0.0, **options
        )
        plain = BestOfN(5).run(MODEL, "ab", lambda p, t: 0.0, temperature=1 / ALPHA, **options)
        assert found.log_z == 0.0
        assert [c.weight for c in found.candidates] == pytest.approx([0.2] * 5, abs=1e-12)
        assert sorted(c.result.tokens for c in found.candidates) == sorted(
            c.result.tokens for c in plain.candidates
        )


def test_and_with_the_powered_base_it_is_power_smc_token_for_token() -> None:
    for seed in range(3):
        options = OPTIONS | {"seed": seed}
        found = SMC(5, "powered", ALPHA, block=1, kappa=0.9, select="sample").run(
            MODEL, "ab", lambda p, t: 0.0, **options
        )
        power = PowerSMC(5, ALPHA, block=1, kappa=0.9).run(MODEL, "ab", **options)
        assert found.log_z == power.log_z
        assert found.best.tokens == power.best.tokens
        assert [c.result.tokens for c in found.candidates] == [
            c.result.tokens for c in power.candidates
        ]


def test_telescoping_potentials_multiply_to_the_value_of_the_last_reward() -> None:
    found = SMC(6, strength=2.0, block=1, kappa=0.0).run(MODEL, "ab", reward, **OPTIONS)
    values = [math.exp(2.0 * reward("", c.result.text)) for c in found.candidates]
    assert [c.weight for c in found.candidates] == pytest.approx(
        [v / sum(values) for v in values], abs=1e-9
    )
    assert found.log_z == pytest.approx(math.log(sum(values) / 6), abs=1e-9)


def test_the_product_of_step_rewards_is_the_likelihood_of_all_steps() -> None:
    def steps(prompt: str, text: str) -> list[float]:
        return [0.9 if letter == "a" else 0.3 for letter in text] or [0.5]

    search = SMC(5, form="power", strength=1.0, block=1, kappa=0.0)
    found = search.run(MODEL, "ab", Scorer(steps, aggregate="prod"), **OPTIONS)
    likelihoods = [math.prod(steps("", c.result.text)) for c in found.candidates]
    assert [c.score for c in found.candidates] == pytest.approx(likelihoods, abs=1e-12)
    assert [c.weight for c in found.candidates] == pytest.approx(
        [value / sum(likelihoods) for value in likelihoods], abs=1e-9
    )


# --- moves


def kernel(states, base, goal, cut_of, log_accept, grid):
    """The transition matrix of one step, by enumeration."""
    index = {t: i for i, t in enumerate(states)}
    matrix = torch.zeros(len(states), len(states), dtype=torch.float64)
    for old in states:
        for number in range(grid(old)):
            chance = 1 / grid(old)
            cut = cut_of(number, old)
            if cut is None:
                matrix[index[old], index[old]] += chance
                continue
            rivals = [t for t in states if t[:cut] == old[:cut]]
            total = sum(base[t] for t in rivals)
            for new in rivals:
                accepted = chance * base[new] / total * math.exp(log_accept(new, old, goal, base))
                matrix[index[old], index[new]] += accepted
                matrix[index[old], index[old]] += chance * base[new] / total - accepted
    return matrix


def ratio(new, old, goal, base):
    def log_ratio(t):
        return math.log(goal[t]) - math.log(base[t])

    return log_acceptance(log_ratio(new), log_ratio(old))


def is_invariant(matrix, states, goal) -> bool:
    law = torch.tensor([goal[t] for t in states], dtype=torch.float64)
    law /= law.sum()
    assert torch.allclose(matrix.sum(1), torch.ones(len(states), dtype=torch.float64), atol=1e-12)
    return bool((law @ matrix - law).abs().max() < 1e-12)


def test_a_move_with_cuts_on_the_grid_of_blocks_leaves_the_target_invariant() -> None:
    states, goal, blocks = list(LAW), target(LAW, Potential("exp", 2.0)), 4

    def on_grid(number, old):
        cut = cut_block((number + 0.5) / blocks, blocks)
        return cut if cut < len(old) else None

    assert is_invariant(kernel(states, LAW, goal, on_grid, ratio, lambda t: blocks), states, goal)

    def on_own_length(number, old):
        return number

    wrong = kernel(states, LAW, goal, on_own_length, ratio, len)
    assert not is_invariant(wrong, states, goal)


@pytest.mark.parametrize("lookahead", [0, 1])
def test_moves_leave_the_law_where_it_is_when_the_first_letter_decides(lookahead) -> None:
    def likes_a(prompt: str, text: str) -> float:
        return 1.0 if text.startswith("a") else 0.0

    search = SMC(4, strength=4.0, block=1, kappa=1.0, moves=2, lookahead=lookahead)
    goal = {t: p * math.exp(4 * likes_a("", MODEL.decode(t))) for t, p in LAW.items()}
    check_properly_weighted(runs(search, score=likes_a), goal)


def test_cuts_are_uniform_on_the_grid() -> None:
    assert [cut_block((i + 0.5) / 12, 3) for i in range(12)] == [0] * 4 + [1] * 4 + [2] * 4
    assert cut_block(1 - 2**-53, 3) == 2


def test_moves_make_copies_differ_again() -> None:
    def likes_a(prompt: str, text: str) -> float:
        return 1.0 if text.startswith("a") else 0.0

    settings = {"n": 12, "strength": 8.0, "block": 1, "kappa": 0.5}
    plain = SMC(**settings).run(MODEL, "ab", likes_a, seed=5, **OPTIONS)
    moved = SMC(**settings, moves=3).run(MODEL, "ab", likes_a, seed=5, **OPTIONS)
    assert moved.spent["tokens"] > plain.spent["tokens"]
    assert sum(c.result.text.startswith("a") for c in moved.candidates) >= 8


def test_the_published_recipe_weighs_by_one_target_and_moves_by_another() -> None:
    settings = {"n": 8, "alpha": ALPHA, "strength": 6.0, "block": 1, "kappa": 1.0, "moves": 2}
    found = runs(SMC(**settings, lookahead=1, exact=False), 3)
    again = runs(SMC(**settings, lookahead=1, exact=False), 3)
    exact = runs(SMC(**settings, lookahead=1), 3)
    for result, twin, other in zip(found, again, exact, strict=True):
        assert len(result.candidates) == 8
        assert [c.result.tokens for c in result.candidates] == [
            c.result.tokens for c in twin.candidates
        ]
        # Weights do not look ahead, so rollouts are drawn for moves only.
        assert result.spent["tokens"] < other.spent["tokens"]


def test_of_the_copies_those_move_whose_reward_is_not_above_the_median() -> None:
    def particle(value: float) -> Any:
        return SimpleNamespace(node=SimpleNamespace(score=Score(value, (value,))))

    poor, middling, good = particle(0.1), particle(0.5), particle(0.9)
    assert poor_copies([poor, poor, middling, middling, middling, good, good]) == [1, 3, 4]
    assert poor_copies([poor, middling, good]) == []


# --- input


def test_what_cannot_work_is_refused_before_any_pass() -> None:
    for wrong in [
        {"n": 0}, {"alpha": -1.0}, {"base": "cold"}, {"form": "log"}, {"strength": math.inf},
        {"block": 0}, {"lookahead": -1}, {"rollout_temperature": 0.5}, {"moves": -1},
        {"lookahead": 1, "rollout_temperature": 0.0}, {"exact": False},
        {"exact": False, "moves": 1, "base": "powered"}, {"kappa": -0.1}, {"select": "luck"},
    ]:  # fmt: skip
        with pytest.raises(InputError):
            SMC(**wrong)
    with pytest.raises(InputError, match="needs a reward"):
        SMC().run(MODEL, "ab")


def test_a_reward_or_lookahead_without_a_value_is_named() -> None:
    with pytest.raises(InputError, match="from 0 to 1, and the reward gave 2"):
        SMC(2, form="odds", block=1).run(MODEL, "ab", lambda p, t: 2.0, **OPTIONS)
    with pytest.raises(InputError, match="lookahead gave nan"):
        SMC(2, block=1, lookahead=lambda p, c: math.nan).run(MODEL, "ab", reward, **OPTIONS)
