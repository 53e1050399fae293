"""What a reward is: it says how good a text is, whole or step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from guided.model import Prompt


@dataclass(frozen=True, slots=True)
class Continuation:
    """A text that a model has written so far.

    Attributes:
        text: without the prompt and without the stop token.
        tokens: as the language model drew them, stop token included.
        is_complete: whether the text has ended by itself: no length limit, no budget cut it.
    """

    text: str
    tokens: tuple[int, ...] = ()
    is_complete: bool = True


@runtime_checkable
class Reward(Protocol):
    """Says how good continuations are; higher is better.

    An *outcome* reward gives one number for a continuation, a *process* reward one for every step
    that its text has. Rewards may also have these attributes, which searches read where they
    stand:

    * `delimiter: str` — the text that ends a step; searches cut their steps there by default;
    * `usage: RewardUsage` — what it has computed so far;
    * `last_tokens: list[int]` — positions computed for each continuation of the last call.
    """

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Continuation]
    ) -> Sequence[Tensor | Sequence[float] | float]:
        """For every continuation its scores `[1]` (outcome) or `[steps]` (process), finite.

        Prompts are as the caller of the search gave them: text, or chat messages. A continuation
        may be unfinished; equal ones come only once in a call.
        """
        ...


@dataclass(slots=True)
class RewardUsage:
    """What a reward has computed.

    Attributes:
        passes: texts that were scored by a model or a program (not found in a cache).
        tokens: token positions that reward models have computed, padding and what was found in
            a prefix cache not counted.
        seconds: wall time.
    """

    passes: int = 0
    tokens: int = 0
    seconds: float = 0.0
