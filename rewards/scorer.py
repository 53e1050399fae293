"""A reward as searches ask it: checked, aggregated, each text only once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from guided.errors import InputError, RewardError
from guided.rewards.protocol import Continuation, Reward, RewardUsage

if TYPE_CHECKING:
    from guided.model import Prompt

Aggregation = Literal["min", "prod", "mean", "last", "sum"] | Callable[[Sequence[float]], float]

_AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "min": min,
    "prod": math.prod,
    "mean": lambda steps: sum(steps) / len(steps),
    "last": lambda steps: steps[-1],
    "sum": sum,
}


@dataclass(frozen=True, slots=True)
class Score:
    """How good a continuation is: `value` by the aggregation, `steps` as the reward gave them."""

    value: float
    steps: tuple[float, ...]


def aggregation(how: Aggregation) -> Callable[[Sequence[float]], float]:
    """The function that makes one number of the scores of all steps.

    Raises:
        InputError: a name that is none of "min", "prod", "mean", "last", "sum".
    """
    if callable(how):
        return how
    if how not in _AGGREGATIONS:
        raise InputError(f"aggregate={how!r} is unknown; give one of {', '.join(_AGGREGATIONS)}")
    return _AGGREGATIONS[how]


class Scorer:
    """Asks a reward in batches; remembers what it has asked (by prompt and text).

    Args:
        reward: a `Reward`, or any function of a prompt and a text that gives a number, or a list
            of numbers for the steps.
        aggregate: how the scores of steps become one. `min` by default: the last step alone says
            little where a model has not learned what comes after an error.
        batch_size: most continuations in one call of the reward.

    Attributes:
        usage: passes (texts that were not remembered), tokens and time of the reward.
    """

    def __init__(
        self, reward: Any, *, aggregate: Aggregation = "min", batch_size: int = 64
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, not {batch_size}")
        self.reward = as_reward(reward)
        self.batch_size = batch_size
        self.usage = RewardUsage()
        self._aggregate = aggregation(aggregate)
        self._known: dict[tuple[Any, str, bool], Score] = {}

    @property
    def delimiter(self) -> str | None:
        """The text that ends a step, where the reward says so."""
        return getattr(self.reward, "delimiter", None)

    def known(self, prompt: Prompt, continuation: Continuation) -> bool:
        """Whether the score is remembered, so that it costs nothing."""
        return _key(prompt, continuation) in self._known

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Continuation]
    ) -> list[Score]:
        """The score of every continuation.

        Raises:
            RewardError: the reward raised, or gave None, NaN, infinity or a wrong count.
        """
        return [score for score, _ in self.costed(prompts, continuations)]

    def costed(
        self, prompts: Sequence[Prompt], continuations: Sequence[Continuation]
    ) -> list[tuple[Score, RewardUsage]]:
        """The score of every continuation, and what it has cost (nothing, if remembered).

        Raises:
            RewardError: see `score`.
        """
        keys = [_key(*pair) for pair in zip(prompts, continuations, strict=True)]
        asked: dict[tuple[Any, str, bool], tuple[Prompt, Continuation]] = {}
        for key, prompt, continuation in zip(keys, prompts, continuations, strict=True):
            if key not in self._known:
                asked.setdefault(key, (prompt, continuation))
        new, costs = list(asked.items()), dict[Any, RewardUsage]()
        for at in range(0, len(new), self.batch_size):
            chunk = new[at : at + self.batch_size]
            scores, tokens = self._ask([pair for _, pair in chunk])
            for (key, _), score, count in zip(chunk, scores, tokens, strict=True):
                self._known[key] = score
                costs[key] = RewardUsage(1, count)
        nothing = RewardUsage()
        return [(self._known[key], costs.pop(key, nothing)) for key in keys]

    def _ask(
        self, pairs: Sequence[tuple[Prompt, Continuation]]
    ) -> tuple[list[Score], Sequence[int]]:
        """Scores, and the positions that reward models have computed for each."""
        began = time.perf_counter()
        name = name_of(self.reward)
        try:
            made = self.reward.score([p for p, _ in pairs], [c for _, c in pairs])
        except RewardError:
            raise
        except Exception as error:
            raise RewardError(f"{name} raised {type(error).__name__}: {error}", error) from error
        finally:
            self.usage.seconds += time.perf_counter() - began
        check_count(name, made, len(pairs))
        tokens = getattr(self.reward, "last_tokens", None) or [0] * len(pairs)
        self.usage.passes += len(pairs)
        self.usage.tokens += sum(tokens)
        scores = [self._checked(name, c, each) for (_, c), each in zip(pairs, made, strict=True)]
        return scores, tokens

    def _checked(self, name: str, continuation: Continuation, made: Any) -> Score:
        try:
            steps = as_steps(made)
        except (TypeError, ValueError) as error:
            raise RewardError(f"{name} gave {made!r} for {continuation.text!r}", error) from error
        if not steps:
            raise RewardError(f"{name} gave no score for {continuation.text!r}")
        for number, step in enumerate(steps):
            if not math.isfinite(step):
                raise RewardError(f"{name} gave {step} for step {number} of {continuation.text!r}")
        return Score(float(self._aggregate(steps)), steps)


def check_count(name: str, made: Any, count: int) -> None:
    """Raises RewardError unless a reward gave a sequence or tensor of `count` entries."""
    is_many = isinstance(made, Sequence) or _is_tensor(made)
    if not is_many or len(made) != count:
        found = f"{len(made)} scores" if is_many else repr(made)
        raise RewardError(f"{name} gave {found} for {count} continuations")


def as_steps(made: Any) -> tuple[float, ...]:
    """The scores that a reward gave for one continuation, as numbers.

    Raises:
        TypeError, ValueError: they are none.
    """
    if _is_tensor(made):
        made = made.detach().double().cpu().reshape(-1).tolist()
    if isinstance(made, str | bytes) or made is None:
        raise TypeError("no number")
    if hasattr(made, "__iter__"):
        return tuple(float(each) for each in made)
    return (float(made),)


def _is_tensor(made: Any) -> bool:
    """Whether it is a tensor; torch is not imported for those who have none."""
    return hasattr(made, "detach")


def _key(prompt: Prompt, continuation: Continuation) -> tuple[Any, str, bool]:
    named = prompt if isinstance(prompt, str) else repr(prompt)
    return named, continuation.text, continuation.is_complete


class _Function:
    """A function of prompt and text as a reward."""

    def __init__(self, function: Callable[[Any, str], Any]) -> None:
        self.function = function

    def score(self, prompts: Sequence[Prompt], continuations: Sequence[Continuation]) -> list[Any]:
        return [self.function(p, c.text) for p, c in zip(prompts, continuations, strict=True)]


def name_of(reward: Any) -> str:
    """What error messages call a reward."""
    function = getattr(reward, "function", reward)
    return getattr(function, "__name__", None) or type(function).__name__


def as_reward(reward: Any) -> Reward:
    """A reward as it stands, or a function `(prompt, text) -> number or numbers` as one.

    Raises:
        InputError: neither.
    """
    if isinstance(reward, Reward):
        return reward
    if callable(reward):
        return _Function(reward)
    raise InputError(
        f"a reward has a method score(prompts, continuations), or is a function of prompt and "
        f"text; {reward!r} is neither"
    )
