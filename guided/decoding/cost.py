"""What a pass costs, measured while decoding."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from guided.kernels import draft_choice
from guided.kernels.draft_choice import WIDTHS

_BATCHES = (1, 2, 4, 8, 16, 32, 64)
#: Weight of a new measurement.
_FRESH = 0.1
#: Measurements of which the least counts.
_COLD = 3
#: What a token for each row adds to a pass at most while that is new, in passes of one.
_EACH = 0.5
#: How many times a new measurement the mean may be.
_TOO_MUCH = 1.5


@dataclass(slots=True)
class Mean:
    """A running mean that follows changes; a single outlier moves it little.

    The least of the first few counts, since the first times are slow: memory is allocated, kernels
    are compiled. `value` is None before the first measurement.
    """

    value: float | None = None
    count: int = 0

    def add(self, seconds: float) -> None:
        """Takes in a measurement."""
        self.count += 1
        if self.value is None or self.count <= _COLD:
            self.value = seconds if self.value is None else min(self.value, seconds)
            return
        # Where kernels were compiled in all of the first ones, the next shows it.
        self.value = min(self.value, _TOO_MUCH * seconds)
        self.value += _FRESH * (min(seconds, 2 * self.value) - self.value)

    @property
    def is_warm(self) -> bool:
        """Whether enough has been measured to rely on."""
        return self.count > _COLD


def _buckets(edges: tuple[int, ...]) -> list[int]:
    """For 0, 1, … the last edge the index of the first edge that is no less."""
    return [
        next(at for at, edge in enumerate(edges) if value <= edge) for value in range(edges[-1] + 1)
    ]


_BATCH_AT, _WIDTH_AT = _buckets(_BATCHES), _buckets(WIDTHS)


def _batch(rows: int) -> int:
    return _BATCH_AT[min(rows, _BATCHES[-1])]


def _nothing_known() -> NDArray[np.float64]:
    return np.full((len(_BATCHES), len(WIDTHS)), np.nan)


@dataclass(slots=True)
class CostModel:
    """Seconds of a pass by its rows and the width of its tree, and of drafting."""

    passes: dict[tuple[int, int], Mean] = field(default_factory=dict)
    drafting: dict[int, Mean] = field(default_factory=dict)
    level: Mean = field(default_factory=Mean)
    _known: NDArray[np.float64] = field(default_factory=_nothing_known)

    def timed(self, rows: int, width: int, seconds: float) -> None:
        """Takes in the time of a pass of `rows` rows and `width` tokens each."""
        batch = _batch(rows)
        key = batch, _WIDTH_AT[min(width, WIDTHS[-1])]
        mean = self.passes.get(key)
        if mean is None:
            mean = self.passes[key] = Mean()
        mean.add(seconds)
        self._known[key] = mean.value

    def drafted(self, rows: int, seconds: float) -> None:
        """Takes in the time that drafting took."""
        key = _batch(rows)
        mean = self.drafting.get(key)
        if mean is None:
            mean = self.drafting[key] = Mean()
        mean.add(seconds)

    def draft_seconds(self, rows: int) -> float:
        """Expected time of drafting; 0 until it is known."""
        mean = self.drafting.get(_batch(rows))
        return mean.value if mean is not None and mean.value is not None and mean.is_warm else 0.0

    def drafting_mean(self, rows: int) -> tuple[float, bool]:
        """Time of drafting so far, 0 before it was measured; whether that is to be relied on."""
        mean = self.drafting.get(_batch(rows))
        return (0.0, False) if mean is None or mean.value is None else (mean.value, mean.is_warm)

    @property
    def level_seconds(self) -> float:
        """Expected time of drawing once more; 0 until it is known."""
        level = self.level
        return level.value if level.value is not None and level.is_warm else 0.0

    def known(self, rows: int) -> NDArray[np.float64]:
        """Seconds of passes of the `WIDTHS`, NaN where never measured."""
        found: NDArray[np.float64] = self._known[_batch(rows)]
        return found

    def relative(self, rows: int, widest: int) -> list[float]:
        """Expected times of passes of 0, 1, … `widest` tokens for each row, relative to one."""
        found: list[float] = draft_choice.relative(self.known(rows), widest).tolist()
        return found

    def excess(self, rows: int, width: int) -> float | None:
        """By how much passes of `width` tokens for each row take longer than those of one, in such
        passes; None where either was never measured.
        """
        batch = _batch(rows)
        mean = self.passes.get((batch, _WIDTH_AT[min(width, WIDTHS[-1])]))
        plain = self.passes.get((batch, 0))
        if mean is None or plain is None or mean.value is None or not plain.value:
            return None
        found = max(0.0, mean.value / plain.value - 1)
        # The first times are slow, which is no fault of the guesses.
        return found if mean.is_warm else min(found, _EACH * (width - 1))

    def base(self, rows: int) -> float | None:
        """Seconds of a pass of a single token for each row, None if never measured."""
        mean = self.passes.get((_batch(rows), 0))
        return mean.value if mean is not None else None
