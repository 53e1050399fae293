"""Which columns every query of a pass over token trees sees, on the CPU."""

from __future__ import annotations

from guided.kernels.compiling import entry


@entry
def fill(parents, lengths, seen):  # type: ignore[no-untyped-def]
    """Sets what every query sees in `seen` bool[n, W, columns]; see `guided.kernels.tree_mask`."""
    for row in range(parents.shape[0]):
        length = lengths[row]
        for node in range(parents.shape[1]):
            own = seen[row, node]
            own[:length] = True
            parent = parents[row, node]
            if parent >= 0:
                for i in range(length, length + node):
                    own[i] = seen[row, parent, i]
            own[length + node] = True
