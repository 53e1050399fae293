"""What a search may spend, and what it has spent."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from guided.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that a search may spend on one prompt; None: no limit.

    Args:
        tokens: drawn by the language model, discarded ones and rollouts included.
        reward_passes: texts scored by the reward, remembered ones not counted.
        rounds: iterations of the search.
        seconds: wall time.
        reserve: of `tokens`, those that searches over partial texts keep back to finish the best
            one where nothing is complete when the budget ends. None: an eighth; 0: it is returned
            as it is then. Other limits than `tokens` do not bind this last text.

    Raises:
        InputError: a limit that is not positive; a reserve that leaves no token.
    """

    tokens: int | None = None
    reward_passes: int | None = None
    rounds: int | None = None
    seconds: float | None = None
    reserve: int | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "reward_passes", "rounds", "seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"Budget({name}={value}): a limit must be positive")
        if self.reserve is not None and not 0 <= self.reserve < (self.tokens or math.inf):
            raise InputError(
                f"Budget(reserve={self.reserve}): tokens are kept back of tokens={self.tokens}"
            )

    @property
    def kept_back(self) -> int:
        """Tokens kept back for finishing a text."""
        if self.tokens is None:
            return 0
        return self.tokens // 8 if self.reserve is None else self.reserve

    @property
    def is_open_ended(self) -> bool:
        """Whether nothing ends a sequence while it grows."""
        return self.tokens is None and self.seconds is None


class BudgetReached(Exception):  # noqa: N818 - a signal to the method, no fault
    """Thrown into a method where the budget is used up; `what` names the limit."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@dataclass(slots=True)
class Ledger:
    """What a search has spent on one prompt.

    Attributes:
        tokens: drawn by the language model, whatever became of them.
        passes: forward passes of the language model that its sequences took part in, at most:
            passes over several of them at once count once.
        positions: token positions that those passes computed for it.
        reward_passes: texts scored by the reward; `reward_tokens`: positions of reward models.
        rounds: iterations.
        began: when it began, by `time.perf_counter`.
        seconds: wall time, once it has ended.
        kept_back: tokens of the budget that only finishing a text may use.
    """

    budget: Budget = field(default_factory=Budget)
    tokens: int = 0
    passes: int = 0
    positions: int = 0
    reward_passes: int = 0
    reward_tokens: int = 0
    rounds: int = 0
    began: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0
    kept_back: int = 0

    def reached(self, growing: int = 0) -> str | None:
        """The name of the limit that is used up, None while there is something left.

        Args:
            growing: tokens that are being drawn right now, not counted in `tokens` yet.
        """
        budget = self.budget
        open_tokens = math.inf if budget.tokens is None else budget.tokens - self.kept_back
        if self.tokens + growing >= open_tokens:
            return "tokens"
        if budget.reward_passes is not None and self.reward_passes >= budget.reward_passes:
            return "reward_passes"
        if budget.rounds is not None and self.rounds >= budget.rounds:
            return "rounds"
        if budget.seconds is not None and time.perf_counter() - self.began >= budget.seconds:
            return "seconds"
        return None

    def is_dry(self, growing: int = 0) -> bool:
        """Whether the tokens that are kept back are used up, too."""
        limit = self.budget.tokens
        return limit is not None and self.tokens + growing >= limit

    def spent(self) -> dict[str, float]:
        """All counts by name."""
        names = ("tokens", "passes", "positions", "reward_passes", "reward_tokens", "rounds")
        counts: dict[str, float] = {name: getattr(self, name) for name in names}
        return counts | {"seconds": self.seconds or time.perf_counter() - self.began}
