"""Solves questions by a search, several at once, and says how it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from guided.model import Model
from guided.rewards.scorer import Aggregation, Scorer
from guided.search.budget import Budget
from guided.search.effects import Round
from guided.search.results import SearchResult
from guided.search.search import Search
from guided.search.voting import final_answer
from guided.solving.problems import Problem
from guided.solving.prompting import Prompting
from guided.trace import Trace


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a solution, and what the reward says of it (None: it was not asked)."""

    text: str
    reward: float | None


@dataclass(frozen=True, slots=True)
class Solution:
    """What a search has made of a problem.

    Attributes:
        steps: of the text, between the reward's delimiters.
        is_right: whether the answer is the right one; None: nobody knows.
    """

    problem: Problem
    result: SearchResult
    steps: tuple[Step, ...]
    is_right: bool | None

    @property
    def answer(self) -> str | None:
        """The answer at the end of the text."""
        return final_answer(self.result.text)


@dataclass(frozen=True)
class Solver:
    """A search with everything that it needs.

    Args:
        reward: as searches take it; asked by methods that need one, and anew for every call of
            `solve`.
        aggregate: how the scores of steps become one.
        options: of the search: `temperature`, `seed`, `max_new_tokens`, `at_once`, `segmenter`, …
    """

    model: Model
    method: Search
    reward: Any = None
    prompting: Prompting = field(default_factory=Prompting)
    budget: Budget | None = None
    aggregate: Aggregation = "min"
    options: Mapping[str, Any] = field(default_factory=dict)

    def solve(
        self,
        problems: Sequence[Problem],
        *,
        trace: Trace | None = None,
        on_round: Callable[[Round], None] | None = None,
    ) -> Iterator[Solution]:
        """The solutions, in the order of the problems, each as soon as it is there.

        Raises:
            InputError: an argument cannot work; raised before any forward pass.
        """
        waiting: dict[int, Solution] = {}
        scorer = self._scorer()
        events = self.method.iterate(
            self.model,
            [self.prompting(problem.question) for problem in problems],
            scorer,
            budget=self.budget,
            trace=trace,
            **self.options,
        )
        following = 0
        for event in events:
            if isinstance(event, Round):
                if on_round is not None:
                    on_round(event)
                continue
            waiting[event.number] = self._solution(problems[event.number], event, scorer)
            while following in waiting:
                yield waiting.pop(following)
                following += 1

    def _scorer(self) -> Scorer | None:
        """The reward with an empty memory, so that runs on the same problems can be compared."""
        if self.reward is None or not self.method.needs_reward:
            return None
        if callable(forget := getattr(self.reward, "clear", None)):
            forget()
        return Scorer(self.reward, aggregate=self.aggregate)

    def _solution(self, problem: Problem, result: SearchResult, scorer: Scorer | None) -> Solution:
        delimiter = (scorer.delimiter if scorer else None) or "\n"
        pieces = [piece.strip() for piece in result.text.split(delimiter) if piece.strip()]
        # Outcome rewards, and rewards that cut steps in their own way, have no score for a piece.
        rewards: Sequence[float | None] = [None] * len(pieces)
        if len(result.steps) == len(pieces):
            rewards = result.steps
        steps = tuple(map(Step, pieces, rewards))
        return Solution(problem, result, steps, problem.judges(result.text))
