"""How often guesses came true, by the drafter that they come from and by its own estimate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guided.decoding.drafts import source_count
from guided.kernels.draft_choice import BINS

_FIRST_ROOM = 8


class Tallies:
    """A count for every source and every tenth of its estimates.

    Attributes:
        table: float64 `[2, sources, BINS]`, by `drafts.source_number`: guesses that came true, and
            all of them; older ones fade.
    """

    def __init__(self) -> None:
        self.table: NDArray[np.float64] = np.zeros((2, _FIRST_ROOM, BINS))

    def cover(self) -> NDArray[np.float64]:
        """The table, with room for all sources that there are."""
        while self.table.shape[1] < source_count():
            self.table = np.concatenate((self.table, np.zeros_like(self.table)), axis=1)
        return self.table
