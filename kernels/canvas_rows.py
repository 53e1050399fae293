"""Rows of the right table: whether they hold an end, and their hash table made anew."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry
from guided.kernels.memo_arrays import mix


@entry
def meets(rows, row, accepting):  # type: ignore[no-untyped-def]
    """Whether a row has a position of `accepting`."""
    common = np.uint64(0)
    for word in range(len(accepting)):
        common |= rows[row, word] & accepting[word]
    return common != 0


@entry
def refill_tails(key, value, pairs):  # type: ignore[no-untyped-def]
    """Enters the (key, value) pairs into an empty hash table."""
    last = len(key) - 1
    for i in range(len(pairs)):
        slot = np.int64(mix(np.uint64(11), pairs[i, 0]) & np.uint64(last))
        while key[slot] >= 0:
            slot = (slot + 1) & last
        key[slot] = pairs[i, 0]
        value[slot] = pairs[i, 1]
