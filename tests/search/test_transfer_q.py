"""Transfer Q*: the tilted law, the estimates of Q*, and what they cost."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor

from guided.controls import BanTokens
from guided.errors import InputError, VocabularyError
from guided.model import Model
from guided.search import ARGS, Budget, TransferQ
from guided.search.rollout_values import Estimate
from guided.search.tilting import tilted
from guided.testing import PrefixModel, enumerate_sequences, table_model
from guided.testing.prefix_model import PrefixConfig
from guided.trace import Trace
from tests.search.exact_laws import greedy, log_law, spelled

PROMPT = "ab"
TOKENS = [1, 2]
MOST = 4
BETA = 0.7
Reward = Callable[[str], float]


def likes_b(text: str) -> float:
    return text.count("b") - 0.5 * text.count("a")


def likes_short(text: str) -> float:
    return 1.5 if len(text) <= 2 else 0.25 * len(text)


def asked(reward: Reward) -> Callable[[str, str], float]:
    return lambda prompt, text: reward(text)


@cache
def sequences(model: Model) -> dict[tuple[int, ...], float]:
    return enumerate_sequences(model, TOKENS, max_new_tokens=MOST)


@cache
def aligned(model: Model, reward: Reward) -> dict[tuple[int, ...], float]:
    """rho_r: the law of whole texts, tilted by exp(reward / BETA)."""
    weights = {
        y: p * math.exp(reward(spelled(model, y)) / BETA) for y, p in sequences(model).items()
    }
    total = sum(weights.values())
    return {y: weight / total for y, weight in weights.items()}


def after(
    law: dict[tuple[int, ...], float], prefix: tuple[int, ...]
) -> dict[tuple[int, ...], float]:
    """The law of whole texts that begin with `prefix`."""
    kept = {y: p for y, p in law.items() if y[: len(prefix)] == prefix}
    total = sum(kept.values())
    return {y: p / total for y, p in kept.items()}


def q_star(model: Model, reward: Reward, prefix: tuple[int, ...]) -> float:
    law = after(aligned(model, reward), prefix)
    return sum(p * reward(spelled(model, y)) for y, p in law.items())


class AlignedModel(PrefixModel):
    """A model whose texts after the prompt are distributed as rho_r."""

    def __init__(self, model: Model, reward: Reward) -> None:
        super().__init__(PrefixConfig(vocab_size=model.vocabulary.size))
        self.texts = aligned(model, reward)

    def law(self, prefix: tuple[int, ...]) -> Tensor:
        own = prefix[len(TOKENS) :]
        mass = torch.zeros(self.config.vocab_size, dtype=torch.float64)
        for y, p in self.texts.items():
            if y[: len(own)] == own and len(y) > len(own):
                mass[y[len(own)]] += p
        return mass.log() if mass.sum() else torch.zeros_like(mass)


def aligned_model(model: Model, reward: Reward) -> Model:
    return Model(AlignedModel(model, reward), vocabulary=model.vocabulary)


# --- the law


@pytest.mark.parametrize("alpha", [0.5, 3.0])
@pytest.mark.parametrize("k", [None, 2])
def test_tokens_follow_the_tilted_law(alpha: float, k: int | None) -> None:
    # Without randomness in the rollouts the value is exact: that of the greedy continuation.
    model = table_model(4, seed=8)
    method = TransferQ(k=k, alpha=alpha, length=None, select="sample")
    found = method.run(
        model, [PROMPT] * 12, asked(likes_b), temperature=0.0, heal=False, max_new_tokens=MOST
    )
    for result in found:
        own = result.best.tokens
        for at, token in enumerate(own):
            law = log_law(model, [*TOKENS, *own[:at]])
            kept = law.argsort(descending=True)[:k].tolist()
            values = [
                likes_b(spelled(model, greedy(model, TOKENS, [*own[:at], z], MOST))) for z in kept
            ]
            expected = (law[kept] + torch.tensor(values, dtype=torch.float64) / alpha).log_softmax(
                -1
            )
            assert result.best.log_q[at] == pytest.approx(
                float(expected[kept.index(token)]), abs=1e-9
            )
    assert len({result.best.tokens for result in found}) > 1


def test_draws_have_the_frequencies_of_the_tilted_law() -> None:
    model, draws = table_model(3, seed=2), 300
    method = TransferQ(k=None, alpha=1.0, length=None, select="sample")
    found = method.run(
        model, [PROMPT] * draws, asked(likes_b),
        temperature=0.0, heal=False, max_new_tokens=1, at_once=draws,
    )  # fmt: skip
    counts = Counter(result.best.tokens[0] for result in found)
    law = log_law(model, TOKENS)
    values = torch.tensor([likes_b(spelled(model, [z])) for z in range(3)], dtype=torch.float64)
    for token, chance in enumerate((law + values).softmax(-1).tolist()):
        assert abs(counts[token] - draws * chance) <= 4 * math.sqrt(draws * chance * (1 - chance))


def test_a_large_alpha_is_the_model_and_alpha_zero_the_highest_value() -> None:
    model = table_model(4, seed=8)
    options = {"temperature": 0.0, "heal": False, "max_new_tokens": MOST}
    free = TransferQ(k=None, alpha=math.inf, length=None, select="sample")
    for result in free.run(model, [PROMPT] * 5, asked(likes_b), **options):
        assert result.best.log_q == pytest.approx(result.best.log_p, abs=1e-9)
    tight = TransferQ(k=None, alpha=0.0, length=None).run(model, PROMPT, asked(likes_b), **options)
    own = tight.best.tokens
    for at, token in enumerate(own):
        law = log_law(model, [*TOKENS, *own[:at]])
        ranks = {
            z: (likes_b(spelled(model, greedy(model, TOKENS, [*own[:at], z], MOST))), float(law[z]))
            for z in range(4)
        }
        assert token == max(ranks, key=ranks.__getitem__)


def test_a_constant_on_top_of_the_reward_changes_nothing() -> None:
    model = table_model(4, seed=8)
    options = {"heal": False, "max_new_tokens": MOST, "seed": 3}
    method = TransferQ(k=3, length=None, rollouts=2, select="sample")
    plain, shifted = (
        method.run(model, PROMPT, asked(lambda text, c=c: likes_b(text) + c), **options)
        for c in (0.0, 5.0)
    )
    assert plain.best.tokens == shifted.best.tokens
    assert plain.best.log_q == pytest.approx(shifted.best.log_q, abs=1e-9)


# --- the estimates, by enumeration


def rewards_and_chances(
    model: Model, law: dict[tuple[int, ...], float], reward: Reward
) -> tuple[list[float], list[float]]:
    return [reward(spelled(model, y)) for y in law], list(law.values())


@pytest.mark.parametrize("token", range(4))
def test_direct_transfer_from_the_aligned_model_is_q_star(token: int) -> None:
    model = table_model(4, seed=5)
    law = after(aligned(model, likes_b), (token,))
    rewards, chances = rewards_and_chances(model, law, likes_b)
    value = Estimate(BETA)(rewards, chances=chances)
    assert value == pytest.approx(q_star(model, likes_b, (token,)), abs=1e-9)


@pytest.mark.parametrize("token", range(4))
def test_indirect_transfer_is_q_star_for_any_two_rewards(token: int) -> None:
    # rho_r / rho_BL = exp((r - r_BL) / beta) up to a constant.
    model = table_model(4, seed=5)
    law = after(aligned(model, likes_short), (token,))
    rewards, chances = rewards_and_chances(model, law, likes_b)
    base, _ = rewards_and_chances(model, law, likes_short)
    value = Estimate(BETA)(rewards, base, chances)
    assert value == pytest.approx(q_star(model, likes_b, (token,)), abs=1e-9)
    same = Estimate(BETA)(base, base, chances)
    assert same == pytest.approx(Estimate(BETA)(base, chances=chances), abs=1e-9)


def test_without_the_prefix_normaliser_a_constant_changes_the_ranking() -> None:
    rewards, base = [[0.2, 0.4], [0.9, -0.6]], [[0.3, 0.1], [0.2, 0.5]]

    def ranks(estimate: Estimate, shift: float) -> list[float]:
        values = [
            estimate([r + shift for r in some], other)
            for some, other in zip(rewards, base, strict=True)
        ]
        return [tilted([-0.7, -0.7], values, 1.0)[z] for z in range(2)]

    right, wrong = Estimate(BETA), Estimate(BETA, normalised=False)
    assert ranks(right, 0.0) == pytest.approx(ranks(right, 2.0), abs=1e-9)
    assert ranks(wrong, 0.0) != pytest.approx(ranks(wrong, 2.0), abs=1e-3)


@pytest.mark.parametrize("reference", ["model", "baseline"])
def test_tilting_by_the_soft_value_gives_the_aligned_law_of_every_text(reference: str) -> None:
    model = table_model(4, seed=5)
    estimate = Estimate(BETA, soft=True)
    rolled = sequences(model) if reference == "model" else aligned(model, likes_short)

    @cache
    def value(prefix: tuple[int, ...]) -> float:
        law = after(rolled, prefix)
        rewards, chances = rewards_and_chances(model, law, likes_b)
        base = [likes_short(spelled(model, y)) for y in law] if reference == "baseline" else None
        return estimate(rewards, base, chances)

    for y, chance in aligned(model, likes_b).items():
        total = 0.0
        for at, token in enumerate(y):
            law = log_law(model, [*TOKENS, *y[:at]]).tolist()
            total += tilted(law, [value((*y[:at], z)) for z in range(4)], BETA)[token]
        assert total == pytest.approx(math.log(chance), abs=1e-9)


# --- the estimates, by rollouts


def first_values(method: TransferQ, model: Model, reward: Reward) -> dict[int, float]:
    """The values of the first token's candidates, by token."""
    trace = Trace()
    method.run(
        model, PROMPT, asked(reward), heal=False, max_new_tokens=MOST,
        trace=trace, budget=Budget(rounds=1),
    )  # fmt: skip
    texts = {record["id"]: record for record in trace.records if record["kind"] == "node"}
    spells = {spelled(model, [z]): z for z in range(model.vocabulary.size)}
    return {
        spells[texts[record["id"]]["text"]]: record["value"]
        for record in trace.records
        if record["kind"] == "facts" and texts[record["id"]]["parent"] == 0
    }


def deviation(
    law: dict[tuple[int, ...], float], value: Callable[[tuple[int, ...]], float]
) -> float:
    mean = sum(p * value(y) for y, p in law.items())
    return math.sqrt(sum(p * (value(y) - mean) ** 2 for y, p in law.items()))


def test_rollouts_of_an_aligned_baseline_estimate_q_star() -> None:
    model, count = table_model(4, seed=5), 200
    method = TransferQ(
        k=None, rollouts=count, length=None, baseline=aligned_model(model, likes_b), beta=BETA
    )
    values = first_values(method, model, likes_b)
    assert set(values) == {0, 1, 2, 3}
    for token, value in values.items():
        law = after(aligned(model, likes_b), (token,))
        band = 4 * deviation(law, lambda y: likes_b(spelled(model, y))) / math.sqrt(count)
        assert abs(value - q_star(model, likes_b, (token,))) <= band + 1e-9


def test_rollouts_of_another_baseline_estimate_q_star_by_their_weights() -> None:
    model, count = table_model(4, seed=5), 200
    method = TransferQ(
        k=None, rollouts=count, length=None, beta=BETA,
        baseline=aligned_model(model, likes_short), baseline_reward=asked(likes_short),
    )  # fmt: skip
    for token, value in first_values(method, model, likes_b).items():
        exact = q_star(model, likes_b, (token,))
        law = after(aligned(model, likes_short), (token,))
        mean = sum(p * weight(model, y) for y, p in law.items())
        # The delta method: the ratio's deviation is that of w (r - Q) / E[w].
        terms = {y: weight(model, y) * (likes_b(spelled(model, y)) - exact) / mean for y in law}
        band = 4 * deviation(law, terms.__getitem__) / math.sqrt(count)
        assert abs(value - exact) <= band + 1e-9


def weight(model: Model, y: tuple[int, ...]) -> float:
    text = spelled(model, y)
    return math.exp((likes_b(text) - likes_short(text)) / BETA)


# --- cost, batches, grammars, bad input


def test_tokens_and_passes_are_what_the_method_says() -> None:
    model = table_model(6, seed=1)
    k, copies, length, most = 3, 2, 2, 5
    method = TransferQ(k=k, rollouts=copies, length=length)
    found = method.run(
        model, PROMPT, asked(likes_b),
        heal=False, max_new_tokens=most, controls=[BanTokens([0])], draft=None,
    )  # fmt: skip
    left = [most - 1 - at for at in range(most)]
    assert found.spent["tokens"] == most + sum(k * copies * min(length, n) for n in left)
    # The prompt, the rollouts of each token in one batch, and the token itself but the last.
    assert found.spent["passes"] == 1 + sum(min(length, n) for n in left) + most - 1
    assert found.spent["rounds"] == most


def test_the_neighbours_in_the_batch_change_nothing() -> None:
    model = table_model(5, seed=5, horizon=9)
    method = TransferQ(
        k=2, rollouts=2, length=3, select="sample", baseline=table_model(5, seed=6, horizon=9)
    )
    prompts, options = ["ab", "ba", "cc"], {"seed": 4, "heal": False, "max_new_tokens": 4}
    together = method.run(model, prompts, asked(likes_b), **options)
    alone = [method.run(model, prompt, asked(likes_b), **options) for prompt in prompts]
    assert [r.best.tokens for r in together] == [r.best.tokens for r in alone]


def test_no_rollouts_are_args() -> None:
    model = table_model(5, seed=5, horizon=9)
    for weight in (0.0, 0.4, 2.0):
        alpha = 1 / weight if weight else math.inf
        one = ARGS(k=3, weight=weight).run(model, PROMPT, asked(likes_b), heal=False)
        other = TransferQ(k=3, alpha=alpha, length=0).run(model, PROMPT, asked(likes_b), heal=False)
        assert one.best.tokens == other.best.tokens


def test_a_grammar_holds_and_the_law_is_tilted_within_it() -> None:
    model = table_model(5, seed=5)
    pattern = "a(b|c)+d"
    found = TransferQ(k=None, length=None, select="sample", alpha=0.8).run(
        model, [PROMPT] * 6, asked(likes_b),
        temperature=0.0, heal=False, regex=pattern, max_new_tokens=6,
    )  # fmt: skip
    assert all(re.fullmatch(pattern, result.text) for result in found)
    first = [result.best.log_q[0] for result in found]
    assert first == pytest.approx([0.0] * 6)
    assert any(result.best.log_q[1] < 0 for result in found)


def test_top_k_of_the_call_does_not_bind_the_baseline() -> None:
    model, other = table_model(5, seed=5, horizon=8), table_model(5, seed=6, horizon=8)
    found = TransferQ(k=3, baseline=other).run(
        model, PROMPT, asked(likes_b), heal=False, top_k=1, max_new_tokens=5
    )
    assert found.stopped is None
    assert found.best.tokens == tuple(greedy(model, TOKENS, [], 5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0}, "k must be at least 1"),
        ({"alpha": -1.0}, "alpha"),
        ({"alpha": math.nan}, "alpha"),
        ({"rollouts": 0}, "rollouts"),
        ({"length": -1}, "length"),
        ({"length": 0, "rollouts": 2}, "all alike"),
        ({"beta": 0.0}, "beta"),
        ({"select": "best"}, "select"),
        ({"value": "max"}, "value"),
        ({"normaliser": "prompt"}, "normaliser"),
        ({"normaliser": "none"}, "baseline_reward"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TransferQ(**settings)  # type: ignore[arg-type]


def test_what_the_call_cannot_give_is_refused_before_any_pass() -> None:
    model = table_model(5)
    with pytest.raises(VocabularyError, match="4 tokens"):
        TransferQ(baseline=table_model(4)).run(model, PROMPT, asked(likes_b))
    with pytest.raises(InputError, match="greedy"):
        TransferQ(rollouts=2).run(model, PROMPT, asked(likes_b), temperature=0.0)
    with pytest.raises(InputError, match="needs a reward"):
        TransferQ().run(model, PROMPT)
