"""Votes: answers in one form, ties to the first one, weights by a reward."""

import math
from typing import Any

import pytest

from guided import run
from guided.errors import InputError
from guided.search import (
    BestOfN,
    Budget,
    Majority,
    WeightedMajority,
    final_answer,
    pass_at_k,
)
from guided.search.voting import winner
from guided.testing import table_model

PROMPT = "ab"
OPTIONS: dict[str, Any] = {"temperature": 1.0, "heal": False}


def first_letter(text: str) -> str | None:
    return text[0] if text else None


def length(prompt: str, text: str) -> float:
    return float(len(text))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 + 4 = 7\nAnswer: 7", "7"),
        (r"so \boxed{1,000.0} and no more.", "1000"),
        (r"first \boxed{3}, then \boxed{4", "3"),
        (r"\boxed{\frac{1}{2}}", "1/2"),
        (r"\boxed{x^{2} + 1}", "x^{2} + 1"),
        ("it costs $12.50.", "25/2"),
        ("half, that is 0.50", "1/2"),
        ("1/2", "1/2"),
        ("-3", "-3"),
        ("1/0", "1/0"),
        ("  yes ", "yes"),
        ("no.", "no"),
        ("  \n ", None),
        ("", None),
    ],
)
def test_answers_are_brought_into_one_form(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


def test_the_greatest_sum_wins_and_ties_go_to_the_first() -> None:
    assert winner(["a", "b", "b"], [1, 1, 1]) == 1
    assert winner(["a", "b", "b", "a"], [1, 1, 1, 1]) == 0
    assert winner(["a", "b", "b"], [5, 1, 3]) == 0
    assert winner(["a", "b", "b"], [3, 1, 3]) == 2
    assert winner([None, "b", None], [9, 1, 9]) == 1
    assert winner([None, None], [1, 2]) is None
    assert winner([], []) is None


def test_the_majority_of_the_samples_decides_without_a_reward() -> None:
    model = table_model(4, seed=3, spread=1.0, horizon=9)
    for seed in range(5):
        found = Majority(15, answer=first_letter).run(model, PROMPT, seed=seed, **OPTIONS)
        answers = [first_letter(c.result.text) for c in found.candidates]
        votes = [answer for answer in answers if answer is not None]
        most = max(map(votes.count, votes))
        expected = next(answer for answer in votes if votes.count(answer) == most)
        assert found.candidates[answers.index(expected)].result.tokens == found.best.tokens
        assert found.spent["reward_passes"] == 0


def test_under_a_constant_reward_weights_change_nothing() -> None:
    model = table_model(4, seed=3, spread=1.0, horizon=9)
    for seed in range(5):
        plain = Majority(9, answer=first_letter).run(model, PROMPT, seed=seed, **OPTIONS)
        weighted = WeightedMajority(9, answer=first_letter).run(
            model, PROMPT, lambda p, t: 0.5, seed=seed, **OPTIONS
        )
        assert plain.best.tokens == weighted.best.tokens


def test_weights_are_the_rewards_of_all_that_give_an_answer() -> None:
    model = table_model(4, seed=3, spread=1.0, horizon=9)
    found = WeightedMajority(15, answer=first_letter).run(model, PROMPT, length, **OPTIONS)
    sums: dict[str, float] = {}
    for candidate in found.candidates:
        letter = first_letter(candidate.result.text)
        if letter is not None:
            sums[letter] = sums.get(letter, 0.0) + float(candidate.score or 0.0)
    own = [c for c in found.candidates if first_letter(c.result.text) == found.text[0]]
    assert sums[found.text[0]] == max(sums.values())
    assert found.score == max(float(candidate.score or 0.0) for candidate in own)


def test_one_sample_is_plain_sampling_and_samples_are_those_of_best_of_n() -> None:
    model = table_model(4, seed=3, horizon=9)
    for seed in range(5):
        one = Majority(1).run(model, PROMPT, seed=seed, **OPTIONS)
        assert one.best.tokens == run(model, PROMPT, seed=seed, **OPTIONS).tokens
        many = Majority(6).run(model, PROMPT, seed=seed, **OPTIONS)
        best = BestOfN(6).run(model, PROMPT, length, seed=seed, **OPTIONS)
        assert [c.result.tokens for c in many.candidates] == [
            c.result.tokens for c in best.candidates
        ]


def test_typed_outputs_vote_by_their_values() -> None:
    model = table_model(6, seed=3, spread=1.0, tokens=[b"1", b"2", b" ", b"[", b"]"])
    found = Majority(9).run(model, "1", schema={"enum": [[1], [2]]}, max_new_tokens=9, **OPTIONS)
    values = [candidate.result.value for candidate in found.candidates]
    assert found.value in ([1], [2])
    assert values.count(found.value) > len(values) // 2


def test_where_the_budget_ends_those_that_are_complete_are_scored_and_vote() -> None:
    model = table_model(4, seed=3, horizon=12)
    for method in (Majority(8), WeightedMajority(8), BestOfN(8)):
        found = method.run(model, PROMPT, length, budget=Budget(tokens=16), **OPTIONS)
        assert found.stopped == "tokens"
        assert found.candidates
        assert all(candidate.score is not None for candidate in found.candidates)
        assert found.best.finish_reason == "stop"
    assert found.score == max(candidate.score for candidate in found.candidates)


@pytest.mark.parametrize(("n", "c", "k"), [(10, 3, 1), (10, 3, 4), (7, 7, 2), (9, 0, 3), (5, 3, 3)])
def test_pass_at_k_is_the_share_of_subsets_with_a_right_text(n: int, c: int, k: int) -> None:
    expected = 1 - math.comb(n - c, k) / math.comb(n, k)
    assert pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-12)
    assert 0 <= pass_at_k(100_000, 5, 5_000) <= 1


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(InputError, match="n must be"):
        Majority(0)
    with pytest.raises(InputError, match="pass@"):
        pass_at_k(3, 1, 4)
    with pytest.raises(InputError, match="pass@"):
        pass_at_k(3, 4, 1)
    model = table_model(4, seed=3, horizon=9)
    with pytest.raises(InputError, match="needs a reward"):
        WeightedMajority(2).run(model, PROMPT)
