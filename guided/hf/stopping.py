"""What ends a row of `generate`: stop tokens, a limit, and criteria asked after every token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers.generation.stopping_criteria import EosTokenCriteria, MaxLengthCriteria

Criterion = Callable[..., Any]


@dataclass(frozen=True)
class Stopping:
    """The criteria of a call, in guided's terms.

    Attributes:
        stop_ids: tokens that end a row, and are part of it.
        limit: most new tokens; None: no limit was given.
        criteria: asked after every other token.
    """

    stop_ids: frozenset[int]
    limit: int | None
    criteria: tuple[Criterion, ...]

    def holds(self, row: Tensor) -> bool:
        """Whether a criterion ends a row `[length]`, the padding of its prompt included.

        Every criterion sees one row, as it is after the token just drawn: an end inside of a
        block of accepted drafts is found where it is.
        """
        return any(_is_met(criterion, row) for criterion in self.criteria)


def _is_met(criterion: Criterion, row: Tensor) -> bool:
    found = criterion(row[None], None)
    return bool(found.any() if isinstance(found, Tensor) else found)


def read_criteria(criteria: Iterable[Criterion], width: int) -> Stopping:
    """What a list of Hugging Face criteria means for prompts of `width` columns."""
    stop_ids: set[int] = set()
    lengths: list[int] = []
    others: list[Criterion] = []
    for criterion in criteria:
        if isinstance(criterion, EosTokenCriteria):
            stop_ids.update(ids_of(criterion.eos_token_id))
        elif isinstance(criterion, MaxLengthCriteria):
            lengths.append(int(criterion.max_length))
        else:
            others.append(criterion)
    limit = min(lengths) - width if lengths else None
    return Stopping(frozenset(stop_ids), limit, tuple(others))


def ids_of(value: Any) -> Sequence[int]:
    """Token ids given as a number, a list, a tensor, or None for none."""
    if value is None:
        return []
    if isinstance(value, Tensor):
        return [int(token) for token in value.reshape(-1).tolist()]
    return [int(token) for token in value] if isinstance(value, Iterable) else [int(value)]
