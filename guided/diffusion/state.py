"""What one sequence knows while it is decoded: values that are replaced, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from guided.diffusion.constraint import Checked
    from guided.diffusion.memory import Memory

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Block(NamedTuple):
    """The slots that are decoded now.

    Attributes:
        begin: first slot.
        end: one past the last.
        started: the state's step when it began.
        masked: masked slots that it had then.
    """

    begin: int
    end: int
    started: int
    masked: int


@dataclass(frozen=True, eq=False)
class Row:
    """What never changes about one sequence.

    Attributes:
        prompt: token ids before the canvas, at least one.
        length: slots of the canvas.
        fixed: tokens that the template puts into slots before the first step.
        holes: the ranges of slots `(begin, end)` that are to be filled.
        filler: token that fills what a hole of variable length does not need; None: none does.
        fillable: slots where the filler may stand.
        mask_id: the mask's id.
        stop_ids: tokens that end the text.
        seed: seed of the call.
        stream: names the row in the random numbers, whatever other rows there are.
    """

    prompt: tuple[int, ...]
    length: int
    fixed: Mapping[int, int]
    holes: tuple[tuple[int, int], ...]
    filler: int | None
    fillable: frozenset[int]
    mask_id: int
    stop_ids: frozenset[int]
    seed: int
    stream: int


@dataclass(frozen=True, eq=False)
class State:
    """One point of one sequence's way from masks to text. Slots count from the canvas's begin.

    Attributes:
        row: what never changes.
        tokens: `[length]`, the mask's id where nothing is committed.
        step: steps made so far.
        block: the active block; None between blocks.
        steps: `[length]`, the step that committed each slot; -1: not yet, or fixed by the template.
        log_p: `[length]`, log-probability of each committed token under the model's own law.
        log_q: `[length]`, the same under the law it was drawn from (0 where it was the best).
        checked: what the constraint knows (None: unconstrained).
        memory: keys and values that a cache policy keeps (None: none yet).
        finish: why it ended; "" while it has not.
        text: a text that stands for the canvas where the constraint's own completion does not fit
            into it slot for slot; else None.
        scratch: what plug-ins remember, by their name; never changed in place.
    """

    row: Row
    tokens: Ints
    step: int = 0
    block: Block | None = None
    steps: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    log_p: Floats = field(default_factory=lambda: np.zeros(0))
    log_q: Floats = field(default_factory=lambda: np.zeros(0))
    checked: Checked | None = None
    memory: Memory | None = None
    finish: str = ""
    text: tuple[int, ...] | None = None
    scratch: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_masked(self) -> NDArray[np.bool_]:
        """`[length]`, where nothing is committed."""
        masked: NDArray[np.bool_] = self.tokens == self.row.mask_id
        return masked

    def masked(self, begin: int = 0, end: int | None = None) -> Ints:
        """Masked slots of a range, ascending."""
        return np.flatnonzero(self.tokens[begin:end] == self.row.mask_id) + begin

    @property
    def to_fill(self) -> int:
        """Slots that the template leaves open."""
        return self.row.length - len(self.row.fixed)

    def with_tokens(self, tokens: Mapping[int, int]) -> State:
        """With tokens written into slots; nothing else is brought up to date."""
        canvas = self.tokens.copy()
        canvas[list(tokens)] = list(tokens.values())
        return replace(self, tokens=canvas)


def first_state(row: Row, checked: Checked | None = None) -> State:
    """The state before the first step: masks, and what the template fixes."""
    tokens = np.full(row.length, row.mask_id, np.int64)
    if row.fixed:
        tokens[list(row.fixed)] = list(row.fixed.values())
    return State(
        row,
        tokens,
        steps=np.full(row.length, -1, np.int64),
        log_p=np.zeros(row.length),
        log_q=np.zeros(row.length),
        checked=checked,
    )


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a pass says about a state.

    Attributes:
        logits: `[end - begin, V]`, row `i` predicts slot `begin + i` (shift undone, guidance of
            the prompt included).
        begin: first slot that it says something about.
        memory: keys and values to be kept with the state.
    """

    logits: Tensor
    begin: int = 0
    memory: Memory | None = None

    @property
    def end(self) -> int:
        """One past the last slot that it says something about."""
        return self.begin + self.logits.shape[0]

    def at(self, slots: Ints) -> Tensor:
        """Logits `[n, V]` of slots, a copy of at least float32."""
        index = (slots - self.begin).tolist()
        rows = self.logits[index]
        return rows if rows.dtype.itemsize >= 4 else rows.float()

    def covers(self, slots: Ints) -> bool:
        """Whether it says something about every one of these slots."""
        return not len(slots) or bool(slots[0] >= self.begin and slots[-1] < self.end)
