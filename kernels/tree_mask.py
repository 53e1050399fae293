"""Which columns every query of a pass over token trees sees."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from guided.kernels import tree_mask_cpu
from guided.kernels.dispatch import Implementation, implementation, triton_kernel


def tree_mask(parents: Tensor, lengths: Tensor, columns: int) -> Tensor:
    """Boolean `[n, 1, W, columns]`: a query sees the row's cached tokens, its ancestors and itself.

    Row r holds `lengths[r]` cached tokens in its first columns and its W new tokens in the columns
    after them.

    Args:
        parents: int32 `[n, W]`. New token i follows new token `parents[r, i]`, which comes before
            it; -1: the cached tokens. Padding at a row's end has -1 too.
        lengths: int32 `[n]`, on the same device.
        columns: at least the greatest length + W.
    """
    return _IMPLEMENTATIONS[implementation(parents.device)](parents, lengths, columns)


def _tree_mask_torch(parents: Tensor, lengths: Tensor, columns: int) -> Tensor:
    rows, width = parents.shape
    device = parents.device
    line = torch.eye(width, dtype=torch.bool, device=device).repeat(rows, 1, 1)
    each = torch.arange(rows, device=device)
    for node in range(width):
        parent = parents[:, node].long()
        line[:, node] |= line[each, parent.clamp(min=0)] & (parent >= 0)[:, None]
    new = torch.arange(columns, device=device) - lengths[:, None]
    inside = (new >= 0) & (new < width)
    place = new.clamp(0, max(width - 1, 0)).long()[:, None].expand(-1, width, -1)
    seen = line.gather(2, place) & inside[:, None] | (new < 0)[:, None]
    return seen[:, None]


def _tree_mask_numba(parents: Tensor, lengths: Tensor, columns: int) -> Tensor:
    rows, width = parents.shape
    seen = np.zeros((rows, width, columns), np.bool_)
    tree_mask_cpu.fill(parents.contiguous().numpy(), lengths.contiguous().numpy(), seen)
    return torch.from_numpy(seen[:, None])


def _tree_mask_triton(parents: Tensor, lengths: Tensor, columns: int) -> Tensor:
    found: Tensor = triton_kernel("tree_mask", "tree_mask")(parents, lengths, columns)
    return found


_IMPLEMENTATIONS = {
    Implementation.TORCH: _tree_mask_torch,
    Implementation.NUMBA: _tree_mask_numba,
    Implementation.TRITON: _tree_mask_triton,
}
