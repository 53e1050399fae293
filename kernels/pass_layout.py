"""The tokens of one row of a pass: what the model is given of them, on the CPU."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry


@entry
def lay_out(last, nodes, base, length, row, ids, positions, mask):  # type: ignore[no-untyped-def]
    """Fills in one row of a pass; how many of its tokens are no padding.

    Args:
        last: a token that comes before `nodes`, whose parent -1 it is; -1: there is none.
        nodes: int64 `[n, 2 or more]`, tokens and their parents, -1: the row's last token.
        base: where the row's next token stands in its text; `length`: the slot that it goes into.
        row: the number of the row.
        ids, positions: int64 `[rows, width]`: the tokens, and where they stand in their text. Those
            of padding at the end are 0 and follow the row's last token.
        mask: bool `[rows, 1, width, columns]`, what every token sees, see
            `guided.kernels.tree_mask`; without columns where nobody wants to know.
    """
    width = ids.shape[1]
    shift = np.int64(1) if last >= 0 else np.int64(0)
    count = len(nodes) + shift
    parents = np.empty(width, np.int64)
    for i in range(width):
        token, parent = np.int64(0), np.int64(-1)
        if i < shift:
            token = np.int64(last)
        elif i < count:
            token, parent = nodes[i - shift, 0], nodes[i - shift, 1] + shift
        ids[row, i] = token
        positions[row, i] = base if parent < 0 else positions[row, parent] + 1
        parents[i] = parent
    columns = mask.shape[3]
    if columns > 0:
        for i in range(width):
            for at in range(columns):
                mask[row, 0, i, at] = at < length
            if parents[i] >= 0:
                for at in range(length, length + i):
                    mask[row, 0, i, at] = mask[row, 0, parents[i], at]
            mask[row, 0, i, length + i] = True
    return count
