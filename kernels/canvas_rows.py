"""The right table's hash table made anew."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry
from guided.kernels.memo_arrays import mix


@entry
def refill_tails(key, value, tail, keys, values):  # type: ignore[no-untyped-def]
    """Enters keys with their values, in order, into an empty hash table."""
    last = len(key) - 1
    for i in range(len(keys)):
        slot = np.int64(mix(np.uint64(11), keys[i]) & np.uint64(last))
        while key[slot] >= 0:
            slot = (slot + 1) & last
        key[slot] = keys[i]
        value[slot] = values[i]
        tail[i] = slot
