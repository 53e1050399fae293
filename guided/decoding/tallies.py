"""How often guesses came true, by the drafter that they come from and by its own estimate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guided.kernels.draft_choice import BINS, PRIOR

_MEMORY = 100.0
_FIRST_ROOM = 8


class Tallies:
    """A count for every source and every tenth of its estimates.

    Attributes:
        table: float64 `[2, sources, BINS]`: guesses that came true, and all of them; older ones
            fade.
    """

    def __init__(self) -> None:
        self.table: NDArray[np.float64] = np.zeros((2, _FIRST_ROOM, BINS))
        self._numbers: dict[str, int] = {}

    def numbers(self, sources: list[str]) -> list[int]:
        """The number of each source in the table; new ones get one."""
        known = self._numbers
        try:
            return [known[source] for source in sources]
        except KeyError:
            for source in sources:
                self._number(source)
            return [known[source] for source in sources]

    def _number(self, source: str) -> int:
        found = self._numbers.get(source)
        if found is None:
            found = self._numbers[source] = len(self._numbers)
            if found >= self.table.shape[1]:
                self.table = np.concatenate((self.table, np.zeros_like(self.table)), axis=1)
        return found

    def add(self, source: str, chance: float, hit: bool) -> float:
        """Takes in one guess; the share of such guesses that had come true before."""
        at = self._number(source), min(int(chance * BINS), BINS - 1)
        hits, count = float(self.table[0][at]), float(self.table[1][at])
        rate = (hits + PRIOR * chance) / (count + PRIOR)
        if count >= _MEMORY:
            hits, count = hits * 0.5, count * 0.5
        self.table[0][at], self.table[1][at] = hits + hit, count + 1
        return rate
