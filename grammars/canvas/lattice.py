"""The positions of a canvas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guided.grammars.canvas.slots import GAP, MASKED, Layout
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.canvas_arrays import BYTE, LAST, MASK, Lattice

#: Masks that get mids at each end of a hole where not all can have them.
_EDGE = 1


@dataclass(frozen=True)
class Positions:
    """A canvas's positions.

    Attributes:
        lattice: the arrays.
        main_of: int64[slots + 1], the main position of every slot boundary.
        width: number of words of a row of positions.
        complete: whether every mask has its mids.
    """

    lattice: Lattice
    main_of: NDArray[np.int64]
    width: int
    complete: bool

    @property
    def count(self) -> int:
        """Number of positions."""
        return len(self.lattice.kind) + len(self.lattice.mid_of)


def positions_of(
    layout: Layout, vocabulary: Vocabulary, n_mids: int, most_mids: int
) -> Positions | None:
    """The positions of a layout, None where a token that spells nothing is fixed.

    Masks get `n_mids` positions inside, as long as these are no more than `most_mids` in all; those
    at the ends of holes and of small holes come first.
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
    mid_base, count = _mid_bases(kind, hole_end, n_mids, most_mids)
    total = len(kind) + count * n_mids
    width = (total + 63) // 64
    ends = set(main_of[layout.text_end :]) if vocabulary.stop_ids else {main_of[-1]}
    accepting = np.zeros(width, np.uint64)
    for main in ends:
        accepting[main >> 6] |= np.uint64(1) << np.uint64(main & 63)
    lattice = Lattice(
        kind=np.array(kind, np.uint8),
        byte=np.array(byte, np.uint8),
        loop=np.array(loop, np.uint8),
        hole_end=hole_end,
        mid_base=mid_base,
        mid_of=np.tile(np.arange(n_mids, dtype=np.int32), count),
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


def _mid_bases(
    kind: list[int], hole_end: NDArray[np.int32], n_mids: int, most: int
) -> tuple[NDArray[np.int32], int]:
    """(position of the first mid of every main position, number of masks that have mids)."""
    base = np.full(len(kind), -1, np.int32)
    if n_mids == 0:
        return base, 0
    ranked: list[tuple[int, int, int]] = []
    main = 0
    while main < len(kind):
        if kind[main] == MASK:
            end = int(hole_end[main])
            ranked += [(min(m - main, end - 1 - m), end - main, m) for m in range(main, end)]
            main = end
        else:
            main += 1
    ranked.sort()
    if len(ranked) * n_mids > most:
        ranked = [rank for rank in ranked if rank[0] < _EDGE]
    chosen = sorted(rank[2] for rank in ranked[: most // n_mids])
    base[chosen] = len(kind) + n_mids * np.arange(len(chosen))
    return base, len(chosen)
