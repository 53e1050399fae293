"""Controlled decoding: the law that a prefix scorer tilts, and the best of some blocks."""

from __future__ import annotations

import re

import pytest
import torch

from guided import run
from guided.controls import BanTokens
from guided.errors import InputError
from guided.search import ControlledDecoding
from guided.testing import enumerate_sequences, table_model
from guided.trace import Trace
from tests.search.exact_laws import log_law, spelled

PROMPT, TOKENS = "ab", [1, 2]


def likes_b(prompt: str, text: str) -> float:
    return text.count("b") - 0.3 * len(text)


def test_tokens_follow_the_law_that_the_scorer_tilts() -> None:
    model = table_model(4, seed=4)
    method = ControlledDecoding(granularity="token", k=None, weight=1.3)
    for result in method.run(model, [PROMPT] * 8, likes_b, heal=False, max_new_tokens=4):
        own = result.best.tokens
        for at, token in enumerate(own):
            law = log_law(model, [*TOKENS, *own[:at]])
            values = [likes_b(PROMPT, spelled(model, [*own[:at], z])) for z in range(4)]
            expected = (law + 1.3 * torch.tensor(values, dtype=torch.float64)).log_softmax(-1)
            assert result.best.log_q[at] == pytest.approx(float(expected[token]), abs=1e-9)


def test_a_scorer_that_knows_the_expected_reward_is_enough() -> None:
    # V(prefix) = log E exp(r) over the model's own continuations: the law is that of whole texts
    # tilted by exp(r).
    model, most = table_model(3, seed=4), 3
    law = enumerate_sequences(model, TOKENS, max_new_tokens=most)
    tilted = {
        y: p * torch.tensor(likes_b(PROMPT, spelled(model, y))).exp().item() for y, p in law.items()
    }

    class Expected:
        def score(self, prompts: list[str], continuations: list[object]) -> list[float]:
            return [self.of(c.tokens) for c in continuations]

        def of(self, prefix: tuple[int, ...]) -> float:
            kept = [y for y in law if y[: len(prefix)] == prefix]
            mass = sum(tilted[y] for y in kept) / sum(law[y] for y in kept)
            return float(torch.tensor(mass, dtype=torch.float64).log())

    method = ControlledDecoding(granularity="token", k=None)
    total = sum(tilted.values())
    for result in method.run(model, [PROMPT] * 8, Expected(), heal=False, max_new_tokens=most):
        chance = tilted[result.best.tokens] / total
        assert sum(result.best.log_q) == pytest.approx(
            float(torch.tensor(chance, dtype=torch.float64).log()), abs=1e-6
        )


def test_of_every_block_the_best_goes_on() -> None:
    model, trace = table_model(5, seed=4), Trace()
    method = ControlledDecoding(k=4, block=2)
    found = method.run(
        model, PROMPT, likes_b,
        heal=False, max_new_tokens=7, controls=[BanTokens([0])], trace=trace,
    )  # fmt: skip
    nodes = {r["id"]: r for r in trace.records if r["kind"] == "node"}
    scores = {r["id"]: r["value"] for r in trace.records if r["kind"] == "score"}
    rounds = [r["alive"][0] for r in trace.records if r["kind"] == "round"]
    assert [nodes[each]["tokens"] for each in rounds] == [2, 2, 2, 1]
    for each in rounds:
        siblings = [n for n in nodes if nodes[n]["parent"] == nodes[each]["parent"]]
        assert len(siblings) == 4
        assert scores[each] == max(scores[n] for n in siblings)
    assert "".join(nodes[each]["text"] for each in rounds) == found.text
    assert found.spent["tokens"] == 4 * 7


def test_one_block_at_a_time_is_plain_sampling() -> None:
    model = table_model(5, seed=4, horizon=9)
    options = {"heal": False, "temperature": 1.0, "seed": 5}
    found = ControlledDecoding(k=1, block=2).run(model, PROMPT, likes_b, **options)
    assert found.best.tokens == run(model, PROMPT, **options).tokens


@pytest.mark.parametrize("granularity", ["block", "token"])
def test_a_grammar_holds(granularity: str) -> None:
    model = table_model(5, seed=4)
    method = ControlledDecoding(granularity=granularity, k=3, block=2)  # type: ignore[arg-type]
    for seed in range(4):
        found = method.run(
            model, PROMPT, likes_b, regex="a(b|c){1,4}d?", max_new_tokens=8, seed=seed
        )
        assert re.fullmatch("a(b|c){1,4}d?", found.text)


@pytest.mark.parametrize(
    "settings",
    [
        {"k": 0},
        {"k": None},
        {"block": 0},
        {"weight": -1.0},
        {"granularity": "word"},
        {"select": "x"},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        ControlledDecoding(**settings)  # type: ignore[arg-type]


def test_blocks_must_be_drawn() -> None:
    model = table_model(5, seed=4)
    with pytest.raises(InputError, match="greedy"):
        ControlledDecoding().run(model, PROMPT, likes_b, temperature=0.0)


def test_within_a_grammar_the_law_is_the_tilted_one_of_what_may_follow() -> None:
    model = table_model(5, seed=4, spread=1.0)
    method = ControlledDecoding(granularity="token", k=None, weight=0.5)
    found = method.run(
        model,
        [PROMPT] * 12,
        likes_b,
        regex="a(b|c)d",
        heal=False,
        temperature=1.0,
        max_new_tokens=6,
    )
    drawn = set()
    for result in found:
        law = log_law(model, [*TOKENS, 1])[[2, 3]]
        values = torch.tensor([likes_b(PROMPT, "ab"), likes_b(PROMPT, "ac")], dtype=torch.float64)
        expected = (law + 0.5 * values).log_softmax(-1)
        token = result.best.tokens[1]
        drawn.add(token)
        assert result.best.log_q[1] == pytest.approx(float(expected[token - 2]), abs=1e-9)
        assert result.best.log_q[0] == result.best.log_q[2] == 0.0
    assert drawn == {2, 3}
