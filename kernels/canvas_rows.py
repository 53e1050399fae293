"""The right table's hash table of pairs made anew."""

from __future__ import annotations

import numpy as np

from guided.kernels.canvas_ends import AFTER, IN
from guided.kernels.compiling import entry
from guided.kernels.memo_arrays import mix


@entry
def enter_pairs(pair, count, slots):  # type: ignore[no-untyped-def]
    """Enters the first `count` rows of int32[..., 3] `pair` into empty int32[H] `slots`."""
    last = np.uint64(len(slots) - 1)
    for number in range(count):
        q, inside = np.int64(pair[number, AFTER]), np.int64(pair[number, IN])
        slot = mix(mix(np.uint64(7), q), inside) & last
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & last
        slots[slot] = number
