"""Rewards made of rewards."""

import pytest

from guided.errors import InputError, RewardError
from guided.rewards import (
    Aggregated,
    Continuation,
    Keywords,
    Length,
    Matches,
    Min,
    Product,
    Scorer,
    Sum,
    Weighted,
)
from guided.rewards.ensembles import Combinable
from guided.testing import check_reward_laws

TEXTS = [Continuation("a dog"), Continuation("12 cats"), Continuation("")]
PROMPTS = ["?"] * 3


class Steps(Combinable):
    """One score for every line."""

    delimiter = "\n"

    def score(self, prompts, continuations):
        self.last_tokens = [len(c.text) for c in continuations]
        return [[0.1 * len(line) for line in c.text.splitlines() or [""]] for c in continuations]


def test_a_weighted_sum_is_written_like_one() -> None:
    a, b = Keywords(["dog", "cat"]), Matches(r"\d")
    written = 0.7 * a + 0.3 * b - b * 2
    assert isinstance(written, Weighted)
    assert written.weights == [0.7, 0.3, -2.0]
    assert repr(written) == "0.7 * Keywords + 0.3 * Matches + -2 * Matches"
    plain = Weighted([(0.7, a), (-1.7, b)])
    assert written.score(PROMPTS, TEXTS) == [
        pytest.approx(each) for each in plain.score(PROMPTS, TEXTS)
    ]
    assert [s for (s,) in written.score(PROMPTS, TEXTS)] == pytest.approx([0.35, -1.7, 0.0])
    assert (-(a * 2)).weights == [-2.0]


def test_functions_take_part() -> None:
    def long(prompt: str, text: str) -> float:
        return float(len(text))

    both = Length(1, 2) + long
    assert [s for (s,) in both.score(PROMPTS, TEXTS)] == [6.0, 8.0, 0.0]
    assert (long + Length(1, 2)).score(PROMPTS, TEXTS) == both.score(PROMPTS, TEXTS)
    assert repr(both) == "1 * Length + 1 * long"


def test_weights_may_change_between_calls() -> None:
    reward = 1.0 * Keywords(["dog"]) + 1.0 * Matches("a")
    assert reward.score(PROMPTS[:1], TEXTS[:1]) == [[2.0]]
    reward.weights[:] = [0.25, 0.5]
    assert reward.score(PROMPTS[:1], TEXTS[:1]) == [[0.75]]
    reward.weights.append(1.0)
    with pytest.raises(InputError, match="3 weights for 2"):
        reward.score(PROMPTS, TEXTS)


def test_products_sums_and_minima() -> None:
    a, b = Keywords(["dog", "a"]), Matches("o") + Matches("g")
    assert (a * b).score(PROMPTS, TEXTS) == Product(a, b).score(PROMPTS, TEXTS)
    assert [s for (s,) in Product(a, b).score(PROMPTS, TEXTS)] == [2.0, 0.0, 0.0]
    assert [s for (s,) in Sum(a, b).score(PROMPTS, TEXTS)] == [3.0, 0.0, 0.0]
    assert [s for (s,) in Min(a, b).score(PROMPTS, TEXTS)] == [1.0, 0.0, 0.0]


def test_steps_are_combined_one_by_one() -> None:
    text = [Continuation("ab\nc")]
    assert (Steps() + 2 * Steps()).score(["?"], text) == [pytest.approx([0.6, 0.3])]


def test_different_numbers_of_scores_are_an_error_unless_aggregated_first() -> None:
    mixed = Steps() + Keywords(["ab"])
    with pytest.raises(RewardError, match=r"Steps 2, Keywords 1\); .*Aggregated"):
        mixed.score(["?"], [Continuation("ab\nc")])
    one = Aggregated(Steps(), "min") + Keywords(["ab"])
    assert one.score(["?"], [Continuation("ab\nc")]) == [pytest.approx([1.1])]
    assert one.delimiter == "\n"


def test_what_was_computed_is_added_up() -> None:
    both = Steps() + Steps()
    both.score(["?"], [Continuation("ab\nc")])
    assert both.last_tokens == [8]
    scorer = Scorer(both)
    scorer.score(["?"], [Continuation("ab\nc")])
    assert scorer.usage.tokens == 8


def test_delimiters_that_differ_are_left_to_the_search() -> None:
    other = Steps()
    other.delimiter = "\n\n"
    assert (Steps() + other).delimiter is None
    assert (Steps() + Steps()).delimiter == "\n"
    assert (Keywords(["a"]) + Matches("b")).delimiter is None


def test_ensembles_obey_the_laws_of_rewards() -> None:
    a, b = Keywords(["dog", "a"]), Matches("o")
    for reward in (0.5 * a + b, a * b, Min(a, b), Aggregated(Steps(), "mean")):
        check_reward_laws(reward, PROMPTS, TEXTS)
    check_reward_laws(Steps(), ["?"] * 2, [Continuation("ab\nc\n"), Continuation("x")], causal=True)


def test_a_reward_that_breaks_a_law_is_found_out() -> None:
    class Relative(Combinable):
        def score(self, prompts, continuations):
            return [float(place) for place, _ in enumerate(continuations)]

    class Backwards(Steps):
        def score(self, prompts, continuations):
            return [made[::-1] for made in super().score(prompts, continuations)]

    with pytest.raises(AssertionError, match="do not depend on the batch"):
        check_reward_laws(Relative(), PROMPTS, TEXTS)
    with pytest.raises(AssertionError, match="changes no earlier score"):
        check_reward_laws(Backwards(), ["?"], [Continuation("abc\nd\nefgh")], causal=True)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        Weighted([])
    with pytest.raises(InputError, match="finite"):
        Weighted([(float("nan"), Matches("a"))])
    with pytest.raises(InputError, match="neither"):
        _ = Matches("a") + "b"
    with pytest.raises(RewardError, match="2 continuations"):
        (Matches("a") + _Short()).score(["?"] * 2, TEXTS[:2])


def test_errors_name_the_reward() -> None:
    def broken(prompt: str, text: str) -> float:
        raise ValueError("no")

    with pytest.raises(RewardError, match=r"^broken raised ValueError: no"):
        Scorer(broken).score(["?"], TEXTS[:1])
    with pytest.raises(RewardError, match=r"^_Short gave 1 scores for 2 continuations"):
        Scorer(_Short()).score(["?"] * 2, TEXTS[:2])


def test_a_reward_that_lacks_its_method_cannot_be_made() -> None:
    class Nothing(Combinable):
        pass

    with pytest.raises(TypeError, match="score"):
        Nothing()  # type: ignore[abstract]


class _Short(Combinable):
    def score(self, prompts, continuations):
        return [1.0]
