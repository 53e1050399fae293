"""Room for the unions of rows of left and right tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guided.kernels.canvas_arrays import Net
from guided.kernels.canvas_blocks import PER_WORD, Blocks

#: Words that the unions of a table's rows may take, and unions that are told apart.
_WORDS = 1 << 19
_MOST = 1 << 18


@dataclass(frozen=True)
class United:
    """The states whose rows are united.

    Attributes:
        states: the states.
        number: for every state of the grammar its number among them, or -1.
        alone: uint8, for each of them whether its rows hold nothing but their own position.
    """

    states: NDArray[np.int32]
    number: NDArray[np.int32]
    alone: NDArray[np.uint8]

    @classmethod
    def of(cls, found: NDArray[np.int32], alone: NDArray[np.bool_]) -> United:
        """The states `found`, with repeats; `alone` is for every state of the grammar."""
        states = np.unique(found)
        number = np.full(len(alone), -1, np.int32)
        number[states] = np.arange(len(states))
        return cls(states, number, alone[states].astype(np.uint8))

    @classmethod
    def callers(cls, net: Net) -> United:
        """The states that call rules: those with which rules begin hold the begin alone."""
        alone = np.zeros(len(net.final), np.bool_)
        alone[net.start_of] = True
        alone[net.scan_target] = alone[net.call_target] = False
        return cls.of(net.caller_state, alone)

    @classmethod
    def targets(cls, net: Net) -> United:
        """The states that come after calls: those with which rules end hold the end alone."""
        goes_on = (np.diff(net.scan_begin) > 0) | (np.diff(net.call_begin) > 0)
        return cls.of(net.call_target, (net.final != 0) & ~goes_on)


def new_unions(united: United, width: int, known: Blocks | None = None) -> Blocks:
    """No unions yet, with what is known of rows; none at all where there are too many states."""
    states, number = united.states, united.number
    blocks = len(states) * PER_WORD * width
    if blocks > _MOST:
        states, number, blocks = states[:0], np.full(len(united.number), -1, np.int32), 0
    has = np.zeros((len(states), width), np.uint64)
    if known is not None and len(known.state) == len(states):
        has[:, : known.has.shape[1]] = known.has
    return Blocks(
        state=states,
        number=number,
        alone=united.alone[: len(states)],
        has=has,
        place=np.full((len(states), PER_WORD * width), -1, np.int32),
        covered=np.zeros((len(states), PER_WORD * width), np.uint64),
        rows=np.empty((min(blocks, _WORDS // width), width), np.uint64),
        size=np.zeros(1, np.int64),
        kept=np.zeros(width, np.uint64),
    )
