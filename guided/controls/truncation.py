"""Controls that cut off the unlikely tail of the law. None of them can empty a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Control, Stage
from guided.errors import ControlError


@dataclass(frozen=True)
class TopK(Control):
    """The `value` most likely tokens (more where the last place is tied)."""

    value: int
    stage: ClassVar[Stage] = Stage.TRUNCATION
    spares_last: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.value < 1:
            raise ControlError(f"top-k needs at least 1, not {self.value}")

    def apply(
        self, logits: Tensor, states: Sequence[None], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[None]]:
        if self.value < logits.shape[-1]:
            least = logits.topk(self.value, dim=-1).values[:, -1:]
            logits.masked_fill_(logits < least, -torch.inf)
        return logits, states


@dataclass(frozen=True)
class TopP(Control):
    """The fewest most likely tokens that together reach probability `value`."""

    value: float
    stage: ClassVar[Stage] = Stage.TRUNCATION
    spares_last: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.value <= 1:
            raise ControlError(f"top-p must be in (0, 1], not {self.value}")

    def apply(
        self, logits: Tensor, states: Sequence[None], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[None]]:
        if self.value < 1:
            ordered, ids = logits.sort(dim=-1, descending=True, stable=True)
            # A token stays if what lies above it does not reach the mass; the first always stays.
            probs = ordered.softmax(-1)
            above = probs.cumsum(-1) - probs
            cut = (above >= self.value).scatter(-1, ids, above >= self.value)
            cut.scatter_(-1, ids[:, :1], False)
            logits.masked_fill_(cut, -torch.inf)
        return logits, states


@dataclass(frozen=True)
class MinP(Control):
    """The tokens at least `value` times as likely as the likeliest."""

    value: float
    stage: ClassVar[Stage] = Stage.TRUNCATION
    spares_last: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise ControlError(f"min-p must be in [0, 1], not {self.value}")

    def apply(
        self, logits: Tensor, states: Sequence[None], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[None]]:
        if self.value > 0:
            best = logits.amax(dim=-1, keepdim=True)
            logits.masked_fill_(logits < best + math.log(self.value), -torch.inf)
        return logits, states
