"""Controls that reshape the law: temperature, repetition penalty, biases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context, Control, Stage
from guided.errors import ControlError


@dataclass(frozen=True)
class Temperature(Control):
    """The law with its logits divided by `value`."""

    value: float
    stage: ClassVar[Stage] = Stage.LAW
    spares_last: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (self.value > 0 and math.isfinite(self.value)):
            raise ControlError(f"temperature must be a positive number, not {self.value}")

    def apply(
        self, logits: Tensor, states: Sequence[None], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[None]]:
        return (logits if self.value == 1 else logits.div_(self.value)), states


@dataclass(frozen=True)
class Seen:
    """Distinct tokens so far: those of the prompt (also as a tensor), those that came after."""

    prompt: frozenset[int]
    ids: Tensor
    added: tuple[int, ...] = ()


@dataclass(frozen=True)
class RepetitionPenalty(Control):
    """Logits of tokens that occurred: divided by `value` if positive, else multiplied by it.

    The prompt's tokens count. The form of Keskar et al. 2019 (CTRL, section 4.1) as Hugging Face
    applies it.
    """

    value: float
    names_tokens: ClassVar[bool] = True
    stage: ClassVar[Stage] = Stage.LAW
    spares_last: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (self.value > 0 and math.isfinite(self.value)):
            raise ControlError(f"repetition penalty must be a positive number, not {self.value}")

    def begin(self, context: Context) -> Seen:
        prompt = frozenset(context.prompt)
        return Seen(prompt, torch.tensor(sorted(prompt), dtype=torch.long))

    def apply(
        self, logits: Tensor, states: Sequence[Seen], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[Seen]]:
        if self.value == 1:
            return logits, states
        for row, seen in zip(logits, states, strict=True):
            added = torch.tensor(seen.added, dtype=torch.long)
            ids = torch.cat([seen.ids, added]).to(logits.device)
            old = row[ids]
            row[ids] = torch.where(old > 0, old / self.value, old * self.value)
        return logits, states

    def step(self, state: Seen, token: int) -> Seen:
        if token in state.prompt or token in state.added:
            return state
        return replace(state, added=(*state.added, token))


@dataclass(frozen=True)
class LogitBias(Control):
    """A number added to the logits of some tokens; `-inf` is BanTokens' business."""

    bias: tuple[tuple[int, float], ...]
    names_tokens: ClassVar[bool] = True
    stage: ClassVar[Stage] = Stage.LAW
    spares_last: ClassVar[bool] = True
    unique: ClassVar[bool] = False

    def __init__(self, bias: Mapping[int, float]) -> None:
        if not all(math.isfinite(value) for value in bias.values()):
            raise ControlError("biases must be finite; forbid tokens with BanTokens")
        object.__setattr__(self, "bias", tuple(sorted(bias.items())))

    def begin(self, context: Context) -> None:
        check_ids([token for token, _ in self.bias], context.vocabulary.size, "LogitBias")

    def apply(
        self, logits: Tensor, states: Sequence[None], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[None]]:
        if self.bias:
            ids, values = zip(*self.bias, strict=True)
            logits[:, list(ids)] += torch.tensor(values, dtype=logits.dtype, device=logits.device)
        return logits, states


def check_ids(ids: Sequence[int], width: int, who: str) -> None:
    """Raises ControlError if an id is no column of the logits."""
    for token in ids:
        if not 0 <= token < width:
            raise ControlError(f"{who}: token {token} is outside of the {width} logits")
