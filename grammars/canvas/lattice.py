"""The positions of a canvas."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from guided.grammars.canvas.slots import GAP, MASKED, Layout
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.canvas_arrays import BYTE, LAST, MASK, Lattice


@dataclass(frozen=True)
class Positions:
    """A canvas's positions.

    Attributes:
        lattice: the arrays.
        main_of: int64[slots + 1], the main position of every slot boundary.
        width: number of words of a row of positions.
        complete: whether every mask may have mids.
    """

    lattice: Lattice
    main_of: NDArray[np.int64]
    width: int
    complete: bool

    @property
    def count(self) -> int:
        """Number of positions that were reached, the main ones among them."""
        return int(self.lattice.used[0])

    @property
    def may_have_mids(self) -> bool:
        """Whether some mask may have mids."""
        return bool((self.lattice.mid_row >= 0).any())

    @property
    def has_all(self) -> bool:
        """Whether no mid was left out (once the left table is filled)."""
        return self.complete and not self.lattice.used[1]

    def roomier(self, mids: int) -> Positions:
        """The same with room for so many mids, none of them reached yet."""
        mains = len(self.lattice.kind)
        width = (mains + mids + 63) // 64
        accepting = np.zeros(width, np.uint64)
        shared = min(width, len(self.lattice.accepting))
        accepting[:shared] = self.lattice.accepting[:shared]
        self.lattice.mid[:] = -1
        self.lattice.used[:] = (mains, 0)
        return replace(self, lattice=self.lattice._replace(accepting=accepting), width=width)


def positions_of(
    layout: Layout, vocabulary: Vocabulary, n_mids: int, most_mids: int
) -> Positions | None:
    """The positions of a layout, None where a token that spells nothing is fixed.

    All masks may have mids where these are no more than `most_mids` in all, else only those at the
    ends of holes.
    """
    kind: list[int] = []
    byte: list[int] = []
    loop = [0]
    main_of = [0]
    for slot in layout.slots[: layout.end]:
        if slot is GAP:
            loop[-1] = 1
        elif slot is MASKED:
            kind.append(MASK)
            byte.append(0)
            loop.append(0)
        else:
            data = vocabulary.grammar_bytes(int(slot))
            if data is None:
                return None
            kind += [BYTE] * len(data)
            byte += data
            loop += [0] * len(data)
        main_of.append(len(kind))
    kind.append(LAST)
    byte.append(0)
    hole_end = _hole_ends(kind)
    mid_row, count = _mid_rows(kind, hole_end, n_mids, most_mids)
    width = (len(kind) + 63) // 64
    ends = set(main_of[layout.text_end :]) if vocabulary.stop_ids else {main_of[-1]}
    accepting = np.zeros(width, np.uint64)
    for main in ends:
        accepting[main >> 6] |= np.uint64(1) << np.uint64(main & 63)
    lattice = Lattice(
        kind=np.array(kind, np.uint8),
        byte=np.array(byte, np.uint8),
        loop=np.array(loop, np.uint8),
        hole_end=hole_end,
        mid_row=mid_row,
        mid=np.full((max(count, 1), max(n_mids, 1)), -1, np.int32),
        used=np.array([len(kind), 0], np.int64),
        accepting=accepting,
    )
    complete = n_mids == 0 or count == kind.count(MASK)
    return Positions(lattice, np.array(main_of, np.int64), width, complete)


def _hole_ends(kind: list[int]) -> NDArray[np.int32]:
    ends = np.arange(len(kind), dtype=np.int32)
    for main in range(len(kind) - 2, -1, -1):
        if kind[main] == MASK:
            ends[main] = ends[main + 1] if kind[main + 1] == MASK else main + 1
    return ends


def _mid_rows(
    kind: list[int], hole_end: NDArray[np.int32], n_mids: int, most: int
) -> tuple[NDArray[np.int32], int]:
    """(row of the mids of every main position, number of masks that may have mids)."""
    rows = np.full(len(kind), -1, np.int32)
    masks = [main for main in range(len(kind)) if kind[main] == MASK]
    if len(masks) * n_mids > most:
        masks = [
            main
            for main in masks
            if main == 0 or kind[main - 1] != MASK or hole_end[main] == main + 1
        ]
    if n_mids:
        rows[masks] = np.arange(len(masks))
    return rows, len(masks)
