"""How the outputs of a process reward model at the end of a step become its score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from guided.errors import ModelError
from guided.rewards.layouts import ids_of


class Readout(Protocol):
    """Makes scores of outputs; a frozen dataclass."""

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest score."""
        ...

    def read(self, outputs: Tensor, tokenizer: Any) -> Tensor:
        """Scores `[n]` in float64, on the CPU, of outputs `[n, width]`.

        Raises:
            ModelError: the outputs are not as wide as they would have to be.
        """
        ...


@dataclass(frozen=True, slots=True)
class Label:
    """The probability of a label; with `against`, less that of another one."""

    good: int = 1
    against: int | None = None
    labels: int = 2

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, 1.0) if self.against is None else (-1.0, 1.0)

    def read(self, outputs: Tensor, tokenizer: Any) -> Tensor:
        if outputs.shape[-1] != self.labels:
            raise ModelError(f"the model has {outputs.shape[-1]} labels where {self.labels} belong")
        chances = outputs.cpu().double().softmax(-1)
        if self.against is None:
            return chances[:, self.good]
        return chances[:, self.good] - chances[:, self.against]


@dataclass(frozen=True, slots=True)
class NextToken:
    """The probability of one next token against another one's."""

    good: str = "+"
    bad: str = "-"

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, 1.0)

    def tokens(self, tokenizer: Any) -> tuple[int, int]:
        """The ids of both; the last token where a tokenizer puts a blank of its own before.

        Raises:
            ModelError: they have no token each.
        """
        good, bad = (ids_of(tokenizer, word)[-1:] for word in (self.good, self.bad))
        if not good or good == bad:
            raise ModelError(f"the tokenizer has no tokens for {self.good!r} and {self.bad!r}")
        return good[0], bad[0]

    def read(self, outputs: Tensor, tokenizer: Any) -> Tensor:
        pair = list(self.tokens(tokenizer))
        if outputs.shape[-1] <= max(pair):
            raise ModelError(f"{outputs.shape[-1]} outputs are no next-token logits")
        return outputs[:, pair].cpu().double().softmax(-1)[:, 0]


@dataclass(frozen=True, slots=True)
class Value:
    """The logistic function of a value."""

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, 1.0)

    def read(self, outputs: Tensor, tokenizer: Any) -> Tensor:
        if outputs.shape[-1] != 1:
            raise ModelError(f"the model gives {outputs.shape[-1]} values where one belongs")
        return outputs[:, 0].cpu().double().sigmoid()
