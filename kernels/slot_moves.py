"""Keys and values of a row that move to slots before them, in all layers at once, on the CPU."""

from __future__ import annotations

import numpy as np
from numba.np.numpy_support import carray

from guided.kernels.addresses import pointer
from guided.kernels.compiling import entry


@entry
def move(table, row, sources, target):  # type: ignore[no-untyped-def]
    """Copies slots of a row to `target` and the slots after it.

    Args:
        table: int64 `[n, 4]`, for each buffer `[rows, heads, slots, width]` its address, heads,
            slots, and the bytes of a slot.
        sources: int64, rising, none of which stands before the place that it moves to.
    """
    for i in range(len(table)):
        heads, slots, size = table[i, 1], table[i, 2], table[i, 3]
        first = table[i, 0] + row * heads * slots * size
        held = carray(pointer(first), (heads, slots, size), np.uint8)
        for head in range(heads):
            for k in range(len(sources)):
                source = sources[k]
                for at in range(size):
                    held[head, target + k, at] = held[head, source, at]
