"""Rewards made of rewards: weighted sums, products, the least of several, one of all steps."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from guided.errors import InputError, RewardError
from guided.rewards.protocol import Continuation, Reward
from guided.rewards.scorer import (
    Aggregation,
    aggregation,
    as_reward,
    as_steps,
    check_count,
    name_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from guided.model import Prompt


class Combinable(ABC):
    """A reward that `0.7 * a + 0.3 * b`, `a - b` and `a * b` make new rewards of."""

    @abstractmethod
    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Continuation]
    ) -> Sequence[Tensor | Sequence[float] | float]:
        """See `Reward.score`."""

    def __add__(self, other: Any) -> Weighted:
        return Weighted([*_terms(self), *_terms(other)])

    def __radd__(self, other: Any) -> Weighted:
        return Weighted([*_terms(other), *_terms(self)])

    def __sub__(self, other: Any) -> Weighted:
        return Weighted([*_terms(self), *((-weight, r) for weight, r in _terms(other))])

    def __neg__(self) -> Weighted:
        return Weighted([(-weight, reward) for weight, reward in _terms(self)])

    def __mul__(self, other: Any) -> Weighted | Product:
        if isinstance(other, int | float):
            return Weighted([(other * weight, reward) for weight, reward in _terms(self)])
        return Product(self, other)

    __rmul__ = __mul__


def _terms(reward: Any) -> list[tuple[float, Any]]:
    if isinstance(reward, Weighted):
        return list(zip(reward.weights, reward.rewards, strict=True))
    return [(1.0, reward)]


class _Ensemble(Combinable):
    """Asks several rewards about the same texts.

    Attributes:
        rewards: what is asked, in order.
        last_tokens: positions that all of them computed for each continuation of the last call.
    """

    def __init__(self, rewards: Sequence[Any]) -> None:
        if not rewards:
            raise InputError(f"{type(self).__name__} needs at least one reward")
        self.rewards: list[Reward] = [as_reward(each) for each in rewards]
        self.last_tokens: list[int] = []

    @property
    def delimiter(self) -> str | None:
        """The text that ends a step, where all rewards that say one say the same."""
        found = {text for r in self.rewards if (text := getattr(r, "delimiter", None)) is not None}
        return found.pop() if len(found) == 1 else None

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Continuation]
    ) -> list[list[float]]:
        """The combined scores, step by step.

        Raises:
            RewardError: the rewards give a continuation different numbers of scores.
        """
        columns, self.last_tokens = [], [0] * len(prompts)
        for reward in self.rewards:
            made = reward.score(prompts, continuations)
            check_count(_name(reward), made, len(prompts))
            columns.append([as_steps(each) for each in made])
            for at, count in enumerate(getattr(reward, "last_tokens", None) or ()):
                self.last_tokens[at] += count
        return [self._combined(each) for each in zip(*columns, strict=True)]

    def _combined(self, scores: Sequence[Sequence[float]]) -> list[float]:
        counts = [len(each) for each in scores]
        if len(set(counts)) > 1:
            named = ", ".join(
                f"{_name(r)} {count}" for r, count in zip(self.rewards, counts, strict=True)
            )
            raise RewardError(
                f"different numbers of scores for one text ({named}); make one of each process "
                'reward\'s steps first: Aggregated(reward, "min")'
            )
        return [self.combine(step) for step in zip(*scores, strict=True)]

    @abstractmethod
    def combine(self, scores: Sequence[float]) -> float:
        """One score of those of all rewards."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(_name, self.rewards))})"


class Weighted(_Ensemble):
    """A weighted sum of rewards; also written `0.7 * a + 0.3 * b`.

    Args:
        terms: pairs of a weight and a reward (or function of prompt and text).

    Attributes:
        weights: may be changed between searches (a search remembers what it has asked).

    Raises:
        InputError: no terms, or a weight that is no finite number.
    """

    def __init__(self, terms: Sequence[tuple[float, Any]]) -> None:
        super().__init__([reward for _, reward in terms])
        self.weights = [float(weight) for weight, _ in terms]
        if not all(map(math.isfinite, self.weights)):
            raise InputError(f"weights must be finite, not {self.weights}")

    def combine(self, scores: Sequence[float]) -> float:
        if len(self.weights) != len(scores):
            raise InputError(f"{len(self.weights)} weights for {len(scores)} rewards")
        return math.fsum(w * score for w, score in zip(self.weights, scores, strict=True))

    def __repr__(self) -> str:
        pairs = zip(self.weights, map(_name, self.rewards), strict=True)
        return " + ".join(f"{weight:g} * {name}" for weight, name in pairs)


class Sum(Weighted):
    """The sum of rewards."""

    def __init__(self, *rewards: Any) -> None:
        super().__init__([(1.0, reward) for reward in rewards])


class Product(_Ensemble):
    """The product of rewards; also written `a * b`."""

    def __init__(self, *rewards: Any) -> None:
        super().__init__(rewards)

    def combine(self, scores: Sequence[float]) -> float:
        return math.prod(scores)


class Min(_Ensemble):
    """The least of several rewards: all have to be content."""

    def __init__(self, *rewards: Any) -> None:
        super().__init__(rewards)

    def combine(self, scores: Sequence[float]) -> float:
        return min(scores)


class Aggregated(_Ensemble):
    """One score of all steps of a process reward, so that it goes with outcome rewards.

    Args:
        how: "min", "prod", "mean", "last", "sum", or a function of the steps' scores.
    """

    def __init__(self, reward: Any, how: Aggregation = "min") -> None:
        super().__init__([reward])
        self._aggregate: Callable[[Sequence[float]], float] = aggregation(how)

    def combine(self, scores: Sequence[float]) -> float:
        """One score of those of all steps."""
        return float(self._aggregate(scores))

    def _combined(self, scores: Sequence[Sequence[float]]) -> list[float]:
        return [self.combine(scores[0])]


def _name(reward: Any) -> str:
    return repr(reward) if isinstance(reward, _Ensemble) else name_of(reward)
