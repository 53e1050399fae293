"""Rewards that need no model."""

import re

import pytest

from guided.errors import InputError
from guided.rewards import Continuation, Keywords, Length, Matches
from guided.rewards.inflections import inflections
from guided.testing import check_reward_laws

PROMPT = "Write."


def one(reward: object, text: str, *, is_complete: bool = True, tokens: int = 0) -> float:
    made = reward.score([PROMPT], [Continuation(text, tuple(range(tokens)), is_complete)])  # type: ignore[attr-defined]
    (score,) = made
    return score


def test_keywords_count_whole_words() -> None:
    reward = Keywords(["dog", "frisbee", "catch"])
    assert one(reward, "The Dog will catch a frisbee.") == 1.0
    assert one(reward, "dogs catching frisbees") == 0.0
    assert one(reward, "a dog") == pytest.approx(1 / 3)
    assert reward.missing("a dog") == ["frisbee", "catch"]


def test_inflected_forms_count_where_asked() -> None:
    reward = Keywords(["dog", "stop", "carry", "bake", "watch", "ice cream"], inflections=True)
    text = "Dogs stopped carrying baked things, watches and ice creams"
    assert one(reward, text) == 1.0
    assert one(reward, "dogma stopper carryall") == 0.0
    assert one(Keywords(["stop"], inflections=True), "stoped") == 0.0


def test_case_and_boundaries_are_options() -> None:
    assert one(Keywords(["Dog"], ignore_case=False), "dog") == 0.0
    assert one(Keywords(["dog"], whole_words=False), "hotdogs") == 1.0
    assert one(Keywords(["c++"]), "I like C++ best") == 1.0
    assert one(Keywords(["c"]), "I like C++ best") == 1.0


def test_keywords_may_depend_on_the_prompt() -> None:
    asked = []

    def words(prompt: object) -> list[str]:
        asked.append(prompt)
        return str(prompt).split(",")

    made = Keywords(words).score(["cat,dog", "fish"], [Continuation("a cat")] * 2)
    assert made == [0.5, 0.0]
    assert asked == ["cat,dog", "fish"]
    with pytest.raises(InputError, match="keywords"):
        Keywords(lambda prompt: []).score(["x"], [Continuation("y")])


def test_inflections_follow_spelling() -> None:
    assert inflections("try") == {"try", "tries", "tried", "trying"}
    assert inflections("play") == {"play", "plays", "played", "playing"}
    assert inflections("fix") == {"fix", "fixes", "fixed", "fixing"}
    assert inflections("walk") == {"walk", "walks", "walked", "walking"}
    assert inflections("42") == {"42"}


def test_length_falls_off_outside_of_its_limits() -> None:
    reward = Length(2, 4)
    assert [one(reward, "a " * count) for count in (1, 2, 4, 8)] == [0.5, 1.0, 1.0, 0.5]
    assert one(reward, "a", is_complete=False) == 1.0
    assert one(Length(most=3, unit="characters"), "abcdef") == 0.5
    assert one(Length(4, unit="tokens"), "x", tokens=2) == 0.5
    assert one(Length(4), "") == 0.0


def test_matches_finds_or_matches_whole() -> None:
    assert one(Matches(r"\d+"), "abc 12") == 1.0
    assert one(Matches(r"\d+", whole=True), "abc 12") == 0.0
    assert one(Matches(r"\d+", absent=True), "abc 12") == 0.0
    assert one(Matches(re.compile("ABC", re.IGNORECASE)), "abc") == 1.0


def test_rules_obey_the_laws_of_rewards() -> None:
    texts = [Continuation(text) for text in ("a dog", "", "12 dogs and a cat", "x")]
    for reward in (Keywords(["dog", "cat"]), Length(1, 2), Matches("o")):
        check_reward_laws(reward, [PROMPT] * 4, texts)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Keywords([]),
        lambda: Keywords("dog"),
        lambda: Keywords(["dog", " "]),
        lambda: Length(3, 2),
        lambda: Length(most=0),
        lambda: Length(1, unit="lines"),  # type: ignore[arg-type]
        lambda: Matches("("),
    ],
)
def test_what_cannot_work_is_refused(make: object) -> None:
    with pytest.raises(InputError):
        make()  # type: ignore[operator]
