"""The laws of searches: methods that obey them pass, those that break one are told which."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from guided.decoding.rng import fold
from guided.errors import InputError, RewardError
from guided.search import (
    DVTS,
    AStar,
    Beam,
    BestOfN,
    FirstFinish,
    Majority,
    Search,
    Tokens,
    WeightedMajority,
)
from guided.search.effects import Plan, grow
from guided.search.problem import Problem
from guided.testing import check_search_laws, table_model

PROMPTS = ["ab", "ba"]
OPTIONS: dict[str, Any] = {"temperature": 1.0, "heal": False, "segmenter": Tokens(2), "seed": 3}


def drawn(prompt: str, text: str) -> float:
    return (fold((1, *text.encode())) >> 11) * 2.0**-53


@pytest.mark.parametrize(
    "search",
    [
        AStar(),
        AStar(2, cost="consistent", batch_pop=2),
        AStar(cost="nll", proposals="all"),
        BestOfN(4),
        Majority(4),
        WeightedMajority(4),
        Beam(4, 2),
        Beam(4, 2, lookahead=1),
        DVTS(4, 2),
    ],
    ids=lambda search: type(search).__name__,
)
def test_searches_obey_the_laws(search: Search) -> None:
    model = table_model(4, seed=3, spread=1.5, horizon=9)
    check_search_laws(search, model, PROMPTS, drawn, most_at_once=16, **OPTIONS)


def test_first_finish_obeys_the_laws_without_guesses() -> None:
    model = table_model(4, seed=3, spread=1.5, horizon=9)
    check_search_laws(FirstFinish(3), model, PROMPTS, draft=None, **OPTIONS)


def test_a_grammar_may_be_among_the_options() -> None:
    model, options = table_model(4, seed=3), {**OPTIONS, "max_new_tokens": 9}
    check_search_laws(AStar(), model, PROMPTS, drawn, regex="(ab|ca)+c", **options)


@dataclass(frozen=True)
class Broken(Search):
    """One sample, with a mistake."""

    needs_reward: ClassVar[bool] = False
    calls: ClassVar[list[int]] = []

    mistake: str = ""

    def plan(self, problem: Problem) -> Plan[None]:
        self.calls.append(1)
        count = len(self.calls) if self.mistake == "memory" else 1
        nodes = problem.fork(problem.root, count)
        yield from grow(nodes)
        problem.offer(nodes[-1])
        if self.mistake == "tokens":
            problem.ledger.tokens = 0
        if self.mistake == "rounds":
            problem.ledger.rounds += 1
        if self.mistake == "reward" and problem.scorer is not None:
            with suppress(RewardError):
                problem.scorer.costed([problem.prompt], [problem.continuation(nodes[0])])
        yield from problem.round(nodes)


@pytest.mark.parametrize(
    ("mistake", "law"),
    [
        ("memory", "equal seeds"),
        ("tokens", "tokens of the result are counted"),
        ("rounds", "round"),
        ("reward", "a reward that fails"),
    ],
)
def test_a_broken_law_is_named(mistake: str, law: str) -> None:
    model = table_model(4, seed=3, spread=1.5, horizon=9)
    check_search_laws(Broken(), model, PROMPTS, drawn, **OPTIONS)
    with pytest.raises(AssertionError, match=law):
        check_search_laws(Broken(mistake), model, PROMPTS, drawn, **OPTIONS)


def test_one_prompt_is_not_enough() -> None:
    with pytest.raises(InputError, match="at least two"):
        check_search_laws(Broken(), table_model(), ["ab"])
