"""Best-of-N, and what every search does by the common core, on models that can be enumerated."""

from collections.abc import Sequence
from typing import Any

import pytest

from guided import run
from guided.decoding import Decoder
from guided.errors import InputError
from guided.search import BestOfN, Budget, SearchResult
from guided.testing import table_model

PROMPT = "ab"


def length(prompt: str, text: str) -> float:
    return float(len(text))


def test_one_sample_is_what_plain_sampling_draws() -> None:
    model = table_model(4, seed=3, horizon=9)
    for seed in range(20):
        options = {"temperature": 1.0, "seed": seed, "max_new_tokens": 6, "heal": False}
        found = BestOfN(1).run(model, PROMPT, length, **options)
        assert found.best.tokens == run(model, PROMPT, **options).tokens


def test_the_best_has_the_highest_reward_of_all_candidates() -> None:
    model = table_model(4, seed=3, horizon=9)
    found = BestOfN(12).run(model, PROMPT, length, temperature=1.0, heal=False)
    assert len(found.candidates) == 12
    assert found.score == max(candidate.score for candidate in found.candidates)
    assert found.spent["tokens"] == sum(len(c.result.tokens) for c in found.candidates)
    assert found.spent["reward_passes"] == len({c.result.text for c in found.candidates})


def test_the_neighbours_in_the_batch_change_nothing() -> None:
    model = table_model(4, seed=5, horizon=9)
    options = {"temperature": 1.0, "seed": 7, "heal": False}
    prompts = ["ab", "ba", "bc", "c", "aa"]
    together = BestOfN(5).run(model, prompts, length, at_once=2, **options)
    alone = [BestOfN(5).run(model, prompt, length, **options) for prompt in prompts]
    for one, other in zip(together, alone, strict=True):
        assert [c.result.tokens for c in one.candidates] == [
            c.result.tokens for c in other.candidates
        ]


def test_a_budget_of_tokens_gives_the_best_so_far_and_says_so() -> None:
    model = table_model(4, seed=3, horizon=12)
    found = BestOfN(8).run(
        model, PROMPT, length, temperature=1.0, heal=False, budget=Budget(tokens=10)
    )
    assert found.stopped == "tokens"
    assert 10 <= found.spent["tokens"] < 10 + 8


def test_a_reward_that_fails_leaves_what_was_drawn() -> None:
    model = table_model(4, seed=3, horizon=9)

    def fails(prompt: str, text: str) -> float:
        raise ZeroDivisionError("nothing to divide by")

    with pytest.warns(RuntimeWarning, match="nothing to divide by"):
        found = BestOfN(3).run(model, PROMPT, fails, temperature=1.0, heal=False)
    assert isinstance(found, SearchResult)
    assert found.stopped == "reward"
    assert len(found.candidates) == 3


@pytest.mark.parametrize("bad", [None, float("nan"), "x", []])
def test_a_reward_that_gives_no_score_is_reported(bad: object) -> None:
    model = table_model(4, seed=3, horizon=9)
    with pytest.warns(RuntimeWarning, match="gave"):
        found = BestOfN(2).run(model, PROMPT, lambda p, t: bad, temperature=1.0, heal=False)
    assert found.stopped == "reward"


def test_what_cannot_work_is_refused_before_any_pass() -> None:
    model = table_model(4, seed=3, horizon=9)
    with pytest.raises(InputError, match="n must be at least 1"):
        BestOfN(0)
    with pytest.raises(InputError, match="needs a reward"):
        BestOfN(2).run(model, PROMPT)
    with pytest.raises(InputError, match="greedy"):
        BestOfN(2).run(model, PROMPT, length, temperature=0.0)
    with pytest.raises(InputError, match="positive"):
        Budget(tokens=0)
    with pytest.raises(TypeError, match="nonsense"):
        BestOfN(2).run(model, PROMPT, length, nonsense=1)  # type: ignore[call-arg]


def test_an_interrupt_while_prompts_are_read_keeps_what_was_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = table_model(4, seed=3, horizon=9)
    opened = Decoder.open

    def interrupted(decoder: Decoder, prompts: Sequence[Sequence[int]], *given: Any, **more: Any):  # type: ignore[no-untyped-def]
        if [model.encode("c")] == [list(prompt) for prompt in prompts]:
            raise KeyboardInterrupt
        return opened(decoder, prompts, *given, **more)

    monkeypatch.setattr(Decoder, "open", interrupted)
    found = BestOfN(3).run(model, ["ab", "c", "ba"], length, temperature=1.0, heal=False, at_once=1)
    assert [result.stopped for result in found] == [None, "interrupt", "interrupt"]
    assert len(found[0].candidates) == 3
