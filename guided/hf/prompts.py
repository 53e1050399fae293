"""Where the prompt ends in the rows that `generate` hands to a processor."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from guided.errors import ControlError

Rows = NDArray[np.int64]
#: How many generations that have been left behind are remembered, to notice interleaved ones.
_REMEMBERED = 8


def spread(items: int, rows: int) -> NDArray[np.intp]:
    """Which of `items` each of `rows` belongs to: row r of R belongs to item r * items // R."""
    return np.arange(rows) * items // rows


def as_rows(ids: Any) -> Rows:
    """Token ids as a two-dimensional array: a tensor, nested lists, or an encoded batch.

    Raises:
        ControlError: the rows have different lengths, or there are none.
    """
    if isinstance(ids, Mapping) or hasattr(ids, "input_ids"):
        ids = ids["input_ids"]
    if isinstance(ids, torch.Tensor):
        ids = ids.detach().cpu().numpy()
    try:
        rows = np.asarray(ids, dtype=np.int64)
    except (ValueError, TypeError):
        raise ControlError(
            "prompt_ids must be a rectangle of token ids, padded as they are given to generate"
        ) from None
    if rows.ndim == 1:
        rows = rows[None]
    if rows.ndim != 2 or not len(rows):
        raise ControlError(f"prompt_ids must have two dimensions, not shape {rows.shape}")
    return rows


class GivenPrompts:
    """Prompts that the caller named: every row has to begin with its own."""

    def __init__(self, prompts: Rows) -> None:
        self.prompts = prompts

    def width(self, rows: Rows) -> int:
        """How many leading columns are prompt.

        Raises:
            ControlError: the rows do not begin with the prompts.
        """
        count, width = self.prompts.shape
        if len(rows) % count:
            raise ControlError(
                f"generate runs {len(rows)} rows, which is no multiple of the {count} prompts "
                "in prompt_ids"
            )
        if rows.shape[1] < width:
            raise ControlError(
                f"prompt_ids have {width} columns but generate shows only {rows.shape[1]}; "
                "give prompt_ids as they go into generate, padding included"
            )
        wrong = rows[:, :width] != self.prompts[spread(count, len(rows))]
        if wrong.any():
            row, column = (int(i) for i in np.argwhere(wrong)[0])
            raise ControlError(
                f"row {row} does not begin with its prompt: column {column} holds token "
                f"{rows[row, column]}, prompt_ids have "
                f"{self.prompts[row * count // len(rows), column]}; call reset(prompt_ids=...) "
                "before generating from other prompts"
            )
        return int(width)


class _Generation:
    """One run of `generate`, as far as its calls so far tell."""

    def __init__(self, rows: Rows) -> None:
        self.prompts = rows.copy()
        self.last = self.prompts
        self.longest = rows.shape[1]

    @property
    def prompt_width(self) -> int:
        return int(self.prompts.shape[1])

    def begins(self, rows: Rows) -> bool:
        """Whether every row begins with the prompt that belongs to it."""
        count, width = self.prompts.shape
        if rows.shape[1] < width:
            return False
        mine = self.prompts[spread(count, len(rows))]
        return bool((rows[:, :width] == mine).all())

    def goes_on(self, rows: Rows) -> bool:
        """Whether all `rows` add one token to what the last call showed, or to a part of it."""
        parent = rows[:, :-1]
        width = parent.shape[1]
        if width < self.prompt_width or width > self.last.shape[1]:
            return False
        shown = {row.tobytes() for row in self.last[:, :width]}
        return all(row.tobytes() in shown for row in parent)

    def show(self, rows: Rows) -> None:
        self.last = rows.copy()
        self.longest = max(self.longest, rows.shape[1])


class ObservedPrompts:
    """Prompts read off the calls: the first call of a generation shows nothing else.

    Rows that do not begin with these prompts begin a new generation: within one, every row does.
    """

    def __init__(self) -> None:
        self._current: _Generation | None = None
        self._earlier: deque[_Generation] = deque(maxlen=_REMEMBERED)

    def width(self, rows: Rows) -> int:
        """How many leading columns are prompt.

        Raises:
            ControlError: the rows go on with a generation that another one has interrupted.
        """
        current = self._current
        if current is None or not current.begins(rows):
            if any(old.goes_on(rows) for old in self._earlier):
                raise ControlError(
                    "two generations are interleaved, so the end of the prompt is unknown; use "
                    "one processor for each, or give prompt_ids"
                )
            if current is not None:
                self._earlier.append(current)
            current = self._current = _Generation(rows)
        self._is_jump = rows.shape[1] > current.longest + 1
        current.show(rows)
        return current.prompt_width

    def check_jump(self, row: int) -> None:
        """Call when the text of `row` is not in the grammar.

        Raises:
            ControlError: `generate` cannot have arrived there token by token, so the row is not a
                rejected draft but a longer prompt.
        """
        if self._is_jump:
            raise ControlError(
                f"row {row} goes on after the prompt with tokens that the grammar does not allow; "
                "if they are a new prompt that begins like the last one, call reset() first or "
                "give prompt_ids"
            )
