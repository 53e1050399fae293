"""Block schedules: which slots are decoded next."""

from __future__ import annotations

from dataclasses import dataclass

from guided.diffusion.state import Prediction, State
from guided.errors import InputError


@dataclass(frozen=True)
class WholeCanvas:
    """The whole canvas is one block: pure diffusion."""

    def next(self, state: State, prediction: Prediction | None) -> tuple[int, int] | None:
        return 0, state.row.length

    def count(self, length: int, prompt: int) -> int:
        return 1


@dataclass(frozen=True)
class FixedBlocks:
    """Blocks of `length` slots from left to right; blocks without a mask are passed over.

    Args:
        length: slots of a block.
        aligned: whether blocks begin at multiples of `length` counted from the sequence's begin,
            prompt included, as block-causal models are trained; else from the canvas's begin.

    Raises:
        InputError: a length below 1.
    """

    length: int
    aligned: bool = False

    def __post_init__(self) -> None:
        if self.length < 1:
            raise InputError(f"a block holds at least one slot, not {self.length}")

    def next(self, state: State, prediction: Prediction | None) -> tuple[int, int] | None:
        before = len(state.row.prompt) if self.aligned else 0
        first = int(state.masked()[0])
        begin = (first + before) // self.length * self.length - before
        return max(0, begin), min(begin + self.length, state.row.length)

    def count(self, length: int, prompt: int) -> int:
        before = prompt % self.length if self.aligned else 0
        return -(-(before + length) // self.length)

    def divides(self, length: int) -> bool:
        """Whether a canvas consists of whole blocks; aligned blocks begin within the prompt's."""
        return self.aligned or length % self.length == 0
