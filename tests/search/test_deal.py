"""DeAL: greedy and beam search without a heuristic, constraints with one."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pytest

from guided import run
from guided.controls import BanTokens
from guided.errors import InputError
from guided.model import Model
from guided.search import Budget, DeAL
from guided.testing import table_model
from guided.trace import Trace
from tests.search.exact_laws import STOP, greedy, log_law, log_p, spelled

PROMPT, TOKENS = "ab", [1, 2]
OPTIONS = {"heal": False, "max_new_tokens": 5}


def nothing(prompt: str, text: str) -> float:
    return 0.0


def has_cc(prompt: str, text: str) -> float:
    return float("cc" in text)


def likes_b(prompt: str, text: str) -> float:
    return float(text.count("b"))


def beam_search(
    model: Model, width: int, k: int, most: int, penalty: float = 0.0
) -> list[tuple[int, ...]]:
    """The textbook's: all sums of log-probabilities of complete and growing texts compete."""

    def rank(item: tuple[tuple[int, ...], float]) -> float:
        return item[1] / max(1, len(item[0])) ** penalty

    beams: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    while any(is_open(tokens, most) for tokens, _ in beams):
        pool = []
        for tokens, total in beams:
            if not is_open(tokens, most):
                pool.append((tokens, total))
                continue
            law = log_law(model, [*TOKENS, *tokens])
            for z in law.argsort(descending=True, stable=True)[:k].tolist():
                pool.append(((*tokens, z), total + float(law[z])))
        beams = sorted(pool, key=rank, reverse=True)[:width]
    return [tokens for tokens, _ in beams]


def is_open(tokens: Sequence[int], most: int) -> bool:
    return len(tokens) < most and (not tokens or tokens[-1] != STOP)


@pytest.mark.parametrize("seed", range(4))
def test_without_weight_one_beam_is_greedy_decoding(seed: int) -> None:
    model = table_model(5, seed=seed)
    wanted = run(model, PROMPT, temperature=0.0, **OPTIONS)
    found = DeAL(weight=0.0).run(model, PROMPT, **OPTIONS)
    assert found.best.tokens == wanted.tokens
    # The same with a look ahead that says nothing: it leaves the keys and values as they were.
    found = DeAL(k=3, lookahead=2).run(model, PROMPT, nothing, **OPTIONS)
    assert found.best.tokens == wanted.tokens


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_without_weight_several_beams_are_beam_search(width: int, penalty: float) -> None:
    for seed in range(5):
        model = table_model(5, seed=seed, spread=2.0)
        method = DeAL(k=4, weight=0.0, beams=width, length_penalty=penalty)
        found = method.run(model, PROMPT, **OPTIONS)
        assert found.best.tokens == beam_search(model, width, 4, 5, penalty)[0]


def test_one_segment_to_the_end_is_beam_search() -> None:
    for seed in range(3):
        model = table_model(5, seed=seed, spread=2.0)
        method = DeAL(k=3, lookahead=None, weight=0.0, granularity="segment")
        found = method.run(model, PROMPT, **OPTIONS)
        assert found.best.tokens == beam_search(model, 3, 3, 5)[0]


def satisfiable(model: Model) -> bool:
    """Whether the greedy continuation of some first token has "cc"."""
    return any(has_cc(PROMPT, spelled(model, greedy(model, TOKENS, [z], 5))) for z in range(5))


@pytest.mark.parametrize("settings", [{"weight": math.inf}, {"weight": 0.0, "hard": 1.0}])
def test_a_constraint_holds_wherever_a_greedy_continuation_satisfies_it(
    settings: dict[str, float],
) -> None:
    method = DeAL(k=5, lookahead=None, **settings)
    fulfilled, plain = 0, 0
    for seed in range(12):
        model = table_model(5, seed=seed, spread=2.0)
        found = method.run(model, PROMPT, has_cc, **OPTIONS)
        if satisfiable(model):
            fulfilled += 1
            assert "cc" in found.text
        plain += "cc" in spelled(model, greedy(model, TOKENS, [], 5))
    assert fulfilled > plain


def test_with_a_full_look_ahead_the_best_heuristic_never_decreases() -> None:
    for seed in range(4):
        model, trace = table_model(5, seed=seed, spread=2.0), Trace()
        DeAL(k=3, lookahead=None, weight=math.inf).run(
            model, PROMPT, likes_b, trace=trace, **OPTIONS
        )
        facts = {r["id"]: r for r in trace.records if r["kind"] == "facts"}
        rounds = [r["alive"][0] for r in trace.records if r["kind"] == "round"]
        values = [facts[each]["h"] for each in rounds]
        assert values == sorted(values)


def test_candidates_are_ranked_by_likelihood_plus_weighted_heuristic() -> None:
    model = table_model(5, seed=3, spread=2.0)
    found = DeAL(k=4, lookahead=2, weight=0.6).run(model, PROMPT, likes_b, **OPTIONS)
    own = found.best.tokens
    for at, token in enumerate(own):
        ranks = {}
        law = log_law(model, [*TOKENS, *own[:at]])
        for z in law.argsort(descending=True)[:4].tolist():
            ahead = greedy(model, TOKENS, [*own[:at], z], min(5, at + 3))
            # The look ahead's own likelihood does not count.
            ranks[z] = float(law[z]) + 0.6 * likes_b(PROMPT, spelled(model, ahead))
        assert token == max(ranks, key=ranks.__getitem__)
    assert found.candidates[-1].result.log_p == pytest.approx(log_p(model, TOKENS, own))


def test_of_segments_the_best_by_likelihood_and_heuristic_go_on() -> None:
    model, trace = table_model(5, seed=3, spread=2.0), Trace()
    method = DeAL(k=3, lookahead=2, weight=0.8, beams=2, granularity="segment")
    found = method.run(
        model, PROMPT, likes_b,
        heal=False, max_new_tokens=6, controls=[BanTokens([0])], trace=trace,
    )  # fmt: skip
    facts = {r["id"]: r for r in trace.records if r["kind"] == "facts"}
    rounds = [r["alive"] for r in trace.records if r["kind"] == "round"]
    seen = {r["id"]: r["value"] for r in trace.records if r["kind"] == "score"}
    assert [len(alive) for alive in rounds[:-1]] == [2, 2]
    for alive in rounds[:-1]:
        ranks = [facts[each]["log_law"] + 0.8 * facts[each]["h"] for each in alive]
        assert ranks == sorted(ranks, reverse=True)
        assert all(facts[each]["h"] == seen[each] for each in alive)
    assert len(found.best.tokens) == 6


def test_a_budget_returns_the_best_beam_so_far() -> None:
    model = table_model(5, seed=3)
    found = DeAL(beams=2, k=3, lookahead=1).run(
        model, PROMPT, likes_b, budget=Budget(rounds=2), controls=[BanTokens([0])], **OPTIONS
    )
    assert found.stopped == "rounds"
    assert found.best.finish_reason == "cut"
    assert len(found.best.tokens) == 2


def test_the_start_state_is_read_by_the_model_and_not_shown_to_the_reward() -> None:
    model, shown = table_model(5, seed=3), set()

    def reward(prompt: str, text: str) -> float:
        shown.add(prompt)
        return likes_b(prompt, text)

    wanted = DeAL(k=3, lookahead=2).run(model, "ccab", likes_b, **OPTIONS)
    for start in ("cc", "cc{prompt}", lambda prompt: "cc" + prompt):
        found = DeAL(k=3, lookahead=2, start=start).run(model, PROMPT, reward, **OPTIONS)
        assert found.best.tokens == wanted.best.tokens
    assert shown == {PROMPT}


def test_the_instruction_goes_to_the_last_message_of_a_chat() -> None:
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert DeAL(start="Be kind. ").adapt(chat) == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "Be kind. u"},
    ]
    with pytest.raises(InputError, match="text"):
        DeAL(start="Be kind. ").adapt([{"role": "user", "content": [{"type": "image"}]}])


@pytest.mark.parametrize("granularity", ["token", "segment"])
def test_a_grammar_holds(granularity: str) -> None:
    model, pattern = table_model(5, seed=3), "a(b|c){2,4}d?"
    method = DeAL(k=3, beams=2, lookahead=2, granularity=granularity)  # type: ignore[arg-type]
    found = method.run(model, [PROMPT, "cc"], likes_b, regex=pattern, max_new_tokens=8)
    assert all(re.fullmatch(pattern, result.text) for result in found)


def test_the_neighbours_in_the_batch_change_nothing() -> None:
    model, method = table_model(5, seed=6), DeAL(k=3, beams=2, lookahead=2)
    prompts = ["ab", "ba", "cc"]
    together = method.run(model, prompts, likes_b, **OPTIONS)
    alone = [method.run(model, prompt, likes_b, **OPTIONS) for prompt in prompts]
    assert [r.best.tokens for r in together] == [r.best.tokens for r in alone]


@pytest.mark.parametrize(
    "settings",
    [
        {"k": 0},
        {"beams": 0},
        {"lookahead": -1},
        {"weight": -1.0},
        {"weight": math.nan},
        {"granularity": "word"},
        {"length_penalty": -1.0},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        DeAL(**settings)  # type: ignore[arg-type]


def test_a_heuristic_is_needed_unless_it_has_no_weight() -> None:
    model = table_model(5, seed=3)
    with pytest.raises(InputError, match="weight=0"):
        DeAL().run(model, PROMPT)
    with pytest.raises(InputError, match="lookahead"):
        DeAL(granularity="segment", lookahead=0)
