"""What a pass costs, measured while decoding."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cache

#: Widths between which costs are interpolated.
WIDTHS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)
#: Weight of a new measurement.
_FRESH = 0.1
#: Measurements of which the least counts.
_COLD = 3
#: Cost of a width that was never tried, relative to a straight line from one token to this share.
_GUESS = 0.08


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
        self.value += _FRESH * (min(seconds, 2 * self.value) - self.value)

    @property
    def is_warm(self) -> bool:
        """Whether enough has been measured to rely on."""
        return self.count > _COLD


def _bucket(value: int, edges: tuple[int, ...]) -> int:
    return edges[min(bisect_left(edges, value), len(edges) - 1)]


@cache
def _buckets(widest: int) -> list[int]:
    """For 0, 1, … `widest` the index of the width in `WIDTHS` that it counts as."""
    return [WIDTHS.index(_bucket(width, WIDTHS)) for width in range(widest + 1)]


@dataclass(slots=True)
class CostModel:
    """Seconds of a pass by its rows and the width of its tree, and of drafting."""

    passes: dict[tuple[int, int], Mean] = field(default_factory=dict)
    drafting: dict[int, Mean] = field(default_factory=dict)
    level: Mean = field(default_factory=Mean)

    def timed(self, rows: int, width: int, seconds: float) -> None:
        """Takes in the time of a pass of `rows` rows and `width` tokens each."""
        key = _bucket(rows, _BATCHES), _bucket(width, WIDTHS)
        self.passes.setdefault(key, Mean()).add(seconds)

    def drafted(self, rows: int, seconds: float) -> None:
        """Takes in the time that drafting took."""
        self.drafting.setdefault(_bucket(rows, _BATCHES), Mean()).add(seconds)

    def draft_seconds(self, rows: int) -> float:
        """Expected time of drafting; 0 until it is known."""
        mean = self.drafting.get(_bucket(rows, _BATCHES))
        return mean.value if mean is not None and mean.value is not None and mean.is_warm else 0.0

    def relative(self, rows: int, widest: int) -> list[float]:
        """Expected times of passes of 0, 1, … `widest` tokens for each row, relative to one."""
        batch = _bucket(rows, _BATCHES)
        known = {
            width: mean.value
            for (size, width), mean in self.passes.items()
            if size == batch and mean.value is not None
        }
        base = known.get(1)
        if base is None:
            return [1 + _GUESS * max(0, width - 1) for width in range(widest + 1)]
        costs = [self._seconds(known, base, width) / base for width in WIDTHS]
        return [costs[at] for at in _buckets(widest)]

    def base(self, rows: int) -> float | None:
        """Seconds of a pass of a single token for each row, None if never measured."""
        mean = self.passes.get((_bucket(rows, _BATCHES), 1))
        return mean.value if mean is not None else None

    @staticmethod
    def _seconds(known: dict[int, float], base: float, wanted: int) -> float:
        if wanted in known:
            return known[wanted]
        # Between two measured widths on a line; beyond the last, on a hopeful one, so that it is
        # tried at all.
        below = max(w for w in known if w < wanted)
        above = min((w for w in known if w > wanted), default=None)
        if above is None:
            return known[below] + _GUESS * base * (wanted - below)
        share = (wanted - below) / (above - below)
        return known[below] + share * (known[above] - known[below])
