"""First Finish Search: the shortest of all samples, for as many tokens of each."""

from typing import Any

import pytest

from guided import run
from guided.errors import InputError
from guided.search import FirstFinish, Majority
from guided.testing import table_model

PROMPT = "ab"
OPTIONS: dict[str, Any] = {"temperature": 1.0, "heal": False, "draft": None}


def samples(model: Any, n: int, **options: Any) -> list[tuple[int, ...]]:
    """What all samples would have become."""
    found = Majority(n).run(model, PROMPT, **OPTIONS, **options)
    return [candidate.result.tokens for candidate in found.candidates]


def test_the_first_is_the_shortest_and_all_have_drawn_as_many_tokens() -> None:
    model = table_model(4, seed=3, spread=1.5, horizon=20)
    lengths = set()
    for seed in range(20):
        whole = samples(model, 5, seed=seed)
        found = FirstFinish(5).run(model, PROMPT, seed=seed, **OPTIONS)
        assert found.best.tokens == min(whole, key=len)
        assert found.spent["tokens"] == 5 * len(found.best.tokens)
        lengths.add(len(found.best.tokens))
    assert len(lengths) > 1


def test_guesses_change_nothing_but_the_count() -> None:
    model = table_model(4, seed=3, spread=1.5, horizon=20)
    for seed in range(10):
        plain = FirstFinish(5).run(model, PROMPT, seed=seed, **OPTIONS)
        ahead = FirstFinish(5).run(model, PROMPT, seed=seed, **{**OPTIONS, "draft": "auto"})
        assert ahead.best.tokens == plain.best.tokens


def test_one_sample_is_plain_sampling() -> None:
    model = table_model(4, seed=3, horizon=12)
    for seed in range(5):
        found = FirstFinish(1).run(model, PROMPT, seed=seed, **OPTIONS)
        assert found.best.tokens == run(model, PROMPT, seed=seed, **OPTIONS).tokens


def test_all_finishers_are_a_majority_vote() -> None:
    model = table_model(4, seed=3, spread=1.5, horizon=12)

    def ending(text: str) -> str | None:
        return text[-1:] or None

    for seed in range(8):
        whole = samples(model, 6, seed=seed)
        found = FirstFinish(6, 6, answer=ending).run(model, PROMPT, seed=seed, **OPTIONS)
        assert len(found.candidates) == 6
        answers = [c.result.text[-1:] for c in found.candidates if c.result.text]
        most = max(map(answers.count, answers))
        assert answers.count(found.text[-1:]) == most
        assert found.spent["tokens"] == sum(map(len, whole))


def test_k_of_n_vote_and_the_longest_mirror_the_shortest() -> None:
    model = table_model(4, seed=3, spread=1.5, horizon=12)
    for seed in range(8):
        whole = samples(model, 6, seed=seed)
        by_length = sorted(whole, key=len)
        third = len(by_length[2])
        short = FirstFinish(6, 3, answer=lambda text: "same").run(
            model, PROMPT, seed=seed, **OPTIONS
        )
        assert short.best.tokens == by_length[0]
        assert short.spent["tokens"] == sum(min(len(tokens), third) for tokens in whole)
        long = FirstFinish(6, order="longest").run(model, PROMPT, seed=seed, **OPTIONS)
        assert len(long.best.tokens) == len(by_length[-1])
        assert long.spent["tokens"] == sum(map(len, whole))


def test_a_sample_that_the_limit_cuts_has_not_finished() -> None:
    model = table_model(4, seed=3, spread=1.0, horizon=30)
    for seed in range(6):
        found = FirstFinish(4).run(model, PROMPT, seed=seed, max_new_tokens=3, **OPTIONS)
        whole = samples(model, 4, seed=seed, max_new_tokens=3)
        assert (found.best.finish_reason == "stop") == bool(whole)


def test_where_an_answer_is_asked_for_an_end_without_one_does_not_count() -> None:
    model = table_model(4, seed=3, spread=1.5, horizon=20)

    def letter(text: str) -> str | None:
        return text[:1] or None

    empty = 0
    for seed in range(12):
        whole = samples(model, 5, seed=seed)
        answered = [tokens for tokens in whole if len(tokens) > 1]
        empty += len(min(whole, key=len)) == 1
        found = FirstFinish(5, answer=letter).run(model, PROMPT, seed=seed, **OPTIONS)
        assert found.best.tokens == min(answered or whole, key=len)
    assert empty


def test_several_prompts_do_not_stop_each_other() -> None:
    model = table_model(4, seed=3, spread=1.5, horizon=20)
    prompts = ["ab", "ba", "cc"]
    together = FirstFinish(4).run(model, prompts, seed=2, **OPTIONS)
    for prompt, found in zip(prompts, together, strict=True):
        alone = FirstFinish(4).run(model, prompt, seed=2, **OPTIONS)
        assert found.best.tokens == alone.best.tokens
        assert found.spent["tokens"] == alone.spent["tokens"]


def test_outputs_are_valid_under_a_grammar() -> None:
    model = table_model(4, seed=3, spread=1.0)
    found = FirstFinish(6).run(model, PROMPT, regex="(ab)+c?", max_new_tokens=12, **OPTIONS)
    assert found.text.startswith("ab")


def test_what_cannot_work_is_refused() -> None:
    for arguments in ({"n": 0}, {"n": 2, "finishers": 3}, {"n": 2, "finishers": 0}):
        with pytest.raises(InputError):
            FirstFinish(**arguments)
    with pytest.raises(InputError, match="order"):
        FirstFinish(2, order="any")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="greedy"):
        FirstFinish(2).run(
            table_model(4, seed=3, horizon=9), PROMPT, **{**OPTIONS, "temperature": 0.0}
        )
