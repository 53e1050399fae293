"""The right table's hash table made anew."""

from __future__ import annotations

from guided.kernels.canvas_ends import find_tail
from guided.kernels.compiling import entry


@entry
def refill_tails(key, value, tail, keys, values, states):  # type: ignore[no-untyped-def]
    """Enters keys with their values, in order, into an empty hash table; `states` is an int64."""
    for i in range(len(keys)):
        slot = find_tail(key, keys[i], (keys[i] >> 32) // states)
        key[slot] = keys[i]
        value[slot] = values[i]
        tail[i] = slot
