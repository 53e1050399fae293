"""Room for the unions of rows of left and right tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guided.grammars.canvas.lattice import packed
from guided.kernels.canvas_blocks import PER_WORD, Blocks

#: Words that the unions of a table's rows may take, and unions that are told apart.
_WORDS = 1 << 19
_MOST = 1 << 18


def new_unions(
    states: NDArray[np.int32], number: NDArray[np.int32], width: int, known: Blocks | None = None
) -> Blocks:
    """No unions yet, with what is known of rows; none at all where there are too many states."""
    blocks = len(states) * PER_WORD * width
    if blocks > _MOST:
        states, number, blocks = states[:0], np.full(len(number), -1, np.int32), 0
    has = np.zeros((len(states), width), np.uint64)
    if known is not None and len(known.state) == len(states):
        has[:, : known.has.shape[1]] = known.has
    return Blocks(
        state=states,
        number=number,
        has=has,
        place=np.full((len(states), PER_WORD * width), -1, np.int32),
        covered=np.zeros((len(states), PER_WORD * width), np.uint64),
        rows=np.empty((min(blocks, _WORDS // width), width), np.uint64),
        size=np.zeros(1, np.int64),
    )


def cut_unions(blocks: Blocks, kept: NDArray[np.int32], width: int) -> None:
    """Leaves rows at the positions `kept` only, and unions over these."""
    if not len(blocks.state):
        return
    bits = packed(kept, width)
    np.bitwise_and(blocks.has, bits, out=blocks.has)
    if blocks.size[0]:
        each = np.empty((width, PER_WORD), np.uint64)
        each[:, 0] = bits
        each[:, 1:] = bits[:, None]
        blocks.covered[(blocks.covered & ~each.reshape(-1)) != 0] = 0
