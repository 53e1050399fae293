"""What a search returns for one prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from guided.result import Result


@dataclass(frozen=True)
class Candidate:
    """One text that a search has come up with.

    Attributes:
        result: text, value, tokens and their log-probabilities.
        score: what the reward says; None: it was not asked.
        steps: its scores of the steps.
        weight: the normalised weight, of methods that have one.
    """

    result: Result[Any]
    score: float | None = None
    steps: tuple[float, ...] = ()
    weight: float | None = None


@dataclass(frozen=True)
class SearchResult:
    """What a search has found for one prompt.

    Attributes:
        best: the text it returns; its `finish_reason` is "cut" where it was not complete.
        score: what the reward says of it.
        steps: its scores of the steps.
        candidates: all complete texts that the search has come up with, in their order.
        spent: tokens, passes, positions, reward_passes, reward_tokens, rounds, seconds.
        stopped: why it ended before it was done: "tokens", "reward_passes", "rounds" or "seconds"
            (the budget), "interrupt", "memory", "reward" (it failed), "attempts" (too many draws
            were rejected), "no_mass" (the model says nothing that is allowed); None: it was done.
        error: what went wrong, where `stopped` is "reward".
        number: of the prompt in the call.
        log_z: the estimate of the logarithm of the target's normalising constant, of samplers.
        certificate: what aligned samplers can say for certain about their draws; of others that of
            the best result, like the ledger of anchored decoding.
    """

    best: Result[Any]
    score: float | None
    steps: tuple[float, ...]
    candidates: tuple[Candidate, ...] = field(repr=False)
    spent: Mapping[str, float] = field(repr=False)
    stopped: str | None = None
    error: Exception | None = None
    log_z: float | None = None
    certificate: Any = field(default=None, repr=False)
    number: int = 0

    @property
    def text(self) -> str:
        """The text of the best."""
        return self.best.text

    @property
    def value(self) -> Any:
        """The value of the best."""
        return self.best.value
