"""AdaDec: when it pauses, which token it takes then, and what that costs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from guided import run
from guided.controls import BanTokens
from guided.errors import InputError
from guided.model import Model
from guided.search import AdaDec
from guided.search.adadec import body_ends
from guided.testing import table_model
from guided.trace import Trace
from tests.search.exact_laws import entropy, greedy, log_law, log_p, spelled

PROMPT, TOKENS = "ab", [1, 2]
MOST = 6
OPTIONS = {"heal": False, "max_new_tokens": MOST}


def greedily(model: Model, **options: Any) -> tuple[int, ...]:
    return run(model, PROMPT, temperature=0.0, **{**OPTIONS, **options}).tokens


@pytest.mark.parametrize(
    "settings",
    [
        {"theta": math.inf},
        {"theta": -math.inf, "lookahead": 0},
        {"theta": -math.inf, "candidates": 1},
        {"theta": -math.inf, "weight": 0.0},
    ],
)
def test_without_a_pause_or_a_choice_it_is_greedy(settings: dict[str, Any]) -> None:
    for seed in range(4):
        model = table_model(5, seed=seed, spread=2.0)
        found = AdaDec(**settings).run(model, PROMPT, **OPTIONS)
        assert found.best.tokens == greedily(model)
        assert set(found.best.log_q) == {0.0}


def ends_with_b(text: str) -> bool:
    return text.endswith("b")


def expected(
    model: Model,
    theta: float,
    candidates: int,
    lookahead: int,
    stop: Callable[[str], bool] = lambda text: False,
) -> list[int]:
    """The definition, on the table."""
    own: list[int] = []
    while len(own) < MOST and (not own or own[-1] != 0):
        law = log_law(model, [*TOKENS, *own])
        order = law.argsort(descending=True, stable=True).tolist()
        if entropy(model, [*TOKENS, *own]) < theta:
            own.append(order[0])
            continue
        scores = {}
        for z in order[:candidates]:
            text, most = [*own, z], min(MOST, len(own) + 1 + lookahead)
            while (
                not stop(spelled(model, text))
                and (longer := greedy(model, TOKENS, text, min(most, len(text) + 1))) != text
            ):
                text = longer
            new = log_p(model, TOKENS, text)[len(own) :]
            scores[z] = sum(new) / len(new)
        own.append(max(scores, key=scores.__getitem__))
    return own


@pytest.mark.parametrize(
    ("theta", "candidates", "lookahead"),
    [(-math.inf, 5, MOST), (-math.inf, 3, 2), (1.2, 3, 5), (1.4, 2, 3)],
)
def test_the_token_with_the_best_mean_of_its_continuation_is_taken(
    theta: float, candidates: int, lookahead: int
) -> None:
    differs = 0
    for seed in range(6):
        model = table_model(5, seed=seed, spread=2.0)
        found = AdaDec(theta, candidates, lookahead).run(model, PROMPT, **OPTIONS)
        assert list(found.best.tokens) == expected(model, theta, candidates, lookahead)
        differs += found.best.tokens != greedily(model)
    assert differs


def test_it_pauses_where_the_entropy_says_so_and_counts_what_that_costs() -> None:
    spent = 0.0
    for seed in range(4):
        model, trace = table_model(6, seed=seed, spread=2.0), Trace()
        found = AdaDec(1.5, 3, 2).run(
            model, PROMPT, trace=trace, controls=[BanTokens([0])], **OPTIONS
        )
        # The entropy is that of the law under the controls.
        pauses = 0
        for at in range(len(found.best.tokens)):
            law = log_law(model, [*TOKENS, *found.best.tokens[:at]])
            law[0] = -math.inf
            chances = law.softmax(-1)[1:]
            pauses += float(-(chances * chances.log()).sum()) >= 1.5
        rounds = [r for r in trace.records if r["kind"] == "round"]
        assert rounds[-1]["info"]["pauses"] == pauses == len(rounds) - 1
        extra = found.spent["tokens"] - len(found.best.tokens)
        assert extra <= 3 * 2 * pauses
        spent += extra
    assert spent > 0


def test_the_continuation_ends_where_the_caller_says() -> None:
    differs = 0
    for seed in range(6):
        model = table_model(5, seed=seed, spread=2.0)
        found = AdaDec(-math.inf, 3, 5, stop=ends_with_b).run(model, PROMPT, **OPTIONS)
        assert list(found.best.tokens) == expected(model, -math.inf, 3, 5, ends_with_b)
        differs += list(found.best.tokens) != expected(model, -math.inf, 3, 5)
    assert differs
    # The candidate itself is judged, too.
    found = AdaDec(-math.inf, 3, 5, stop=lambda text: True).run(model, PROMPT, **OPTIONS)
    assert found.best.tokens == greedily(model)
    assert found.spent["tokens"] == len(found.best.tokens)


def test_the_body_of_a_function_ends_with_what_is_not_indented() -> None:
    assert not body_ends("    x = 1\n\n    return x\n")
    assert body_ends("    return x\ndef g():")
    assert body_ends("    return x\n\n\n\n\n")
    assert not body_ends("    return x\n\n\n")


def test_a_grammar_holds_and_forced_tokens_are_no_reason_to_pause() -> None:
    model, trace = table_model(6, seed=3, spread=1.0), Trace()
    found = AdaDec(0.1).run(
        model, PROMPT, regex="abc(a|b|c)ed*e", max_new_tokens=9, trace=trace, heal=False
    )
    assert re.fullmatch("abc(a|b|c)ed*e", found.text)
    first = next(r for r in trace.records if r["kind"] == "round")
    assert first["info"]["entropy"] > 0.1
    texts = {r["id"]: r["text"] for r in trace.records if r["kind"] == "node"}
    assert texts[first["alive"][0]] == "abc"


def test_the_neighbours_in_the_batch_change_nothing() -> None:
    model = table_model(6, seed=3, spread=2.0)
    prompts = ["ab", "ba", "cc"]
    together = AdaDec(1.4).run(model, prompts, **OPTIONS)
    alone = [AdaDec(1.4).run(model, prompt, **OPTIONS) for prompt in prompts]
    assert [r.best.tokens for r in together] == [r.best.tokens for r in alone]


def test_a_reward_scores_the_result() -> None:
    model = table_model(6, seed=3)
    found = AdaDec(1.4).run(model, PROMPT, lambda p, t: float(len(t)), **OPTIONS)
    assert found.score == len(found.text)
    assert found.spent["reward_passes"] == 1


@pytest.mark.parametrize(
    "settings", [{"theta": math.nan}, {"candidates": 0}, {"lookahead": -1}, {"weight": -1.0}]
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        AdaDec(**settings)


def test_a_temperature_is_refused() -> None:
    model = table_model(6, seed=3)
    with pytest.raises(InputError, match="temperature"):
        AdaDec().run(model, PROMPT, temperature=0.7)
    with pytest.raises(InputError, match="top_k"):
        AdaDec().run(model, PROMPT, temperature=1.0, top_k=3)
