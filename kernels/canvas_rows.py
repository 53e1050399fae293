"""The right table's hash table made anew."""

from __future__ import annotations

from guided.kernels.canvas_ends import find_tail
from guided.kernels.compiling import entry


@entry
def refill_tails(tails, tail, known, states):  # type: ignore[no-untyped-def]
    """Enters int64[n, 2] keys and values, in order, into empty `tails`; `states` is an int64."""
    for i in range(len(known)):
        slot = find_tail(tails, known[i, 0], (known[i, 0] >> 32) // states)
        tails[slot, 0] = known[i, 0]
        tails[slot, 1] = known[i, 1]
        tail[i] = slot
