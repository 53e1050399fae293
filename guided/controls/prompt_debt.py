"""The debt that a prompt starts with: how much likelier the risky model finds it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from guided.errors import ControlError
from guided.grammars.vocabulary import Vocabulary

Debt = Literal["prefix"] | float | None


def check_debt(debt: Debt, n_debt: int) -> None:
    """Raises ControlError unless a debt can be measured or counted so."""
    if n_debt < 1:
        raise ControlError(f"n_debt must be at least 1 token, not {n_debt}")
    if debt is None or debt == "prefix":
        return
    if isinstance(debt, str) or not (debt >= 0 and math.isfinite(debt)):
        raise ControlError(f"debt must be 'prefix', a number of nats from 0, or None, not {debt!r}")


def counted(prompt: Sequence[int], vocabulary: Vocabulary) -> tuple[int, ...]:
    """Which of a prompt's tokens after the first one count: those that are not special."""
    special = {*vocabulary.specials.values(), *vocabulary.stop_ids}
    return tuple(i for i, token in enumerate(prompt[1:]) if token not in special)


def prefix_debt(
    risky: Sequence[float], safe: Sequence[float], counts: Sequence[int], most: int
) -> float:
    """The mean of the `most` largest max(0, log p_risky - log p_safe) of a prompt's tokens.

    Of fewer where the prompt is shorter; 0 where no token counts, infinite where the safe model
    holds one of them impossible and the risky one does not.

    Args:
        risky: log-probabilities of the prompt's tokens after the first; `safe` likewise.
        counts: the positions in these that count.
    """
    gaps = sorted((_gap(risky[i], safe[i]) for i in counts), reverse=True)[:most]
    return math.fsum(gaps) / len(gaps) if gaps else 0.0


def _gap(risky: float, safe: float) -> float:
    return 0.0 if risky == -math.inf else max(0.0, risky - safe)
