"""Which columns every query of a pass over token trees sees, on CUDA."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 512


@triton.jit
def _fill(parents, starts, lengths, seen, width, columns, BLOCK: tl.constexpr):
    """Of one query and one block of columns."""
    row = tl.program_id(0).to(tl.int64)
    node = tl.program_id(1)
    offsets = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    length = tl.load(lengths + row)
    new = offsets - length
    visible = new < 0
    last = node
    # Up the tree, one run of neighbours a step: a chain takes a single one.
    while last >= 0:
        first = tl.load(starts + row * width + last)
        visible = visible | ((new >= first) & (new <= last))
        last = tl.load(parents + row * width + first)
    at = (row * width + node) * columns + offsets
    tl.store(seen + at, visible.to(tl.int8), mask=offsets < columns)


def tree_mask(parents: Tensor, lengths: Tensor, columns: int) -> Tensor:
    """Boolean `[n, 1, W, columns]`; see `guided.kernels.tree_mask`."""
    rows, width = parents.shape
    parents = parents.contiguous()
    seen = torch.empty(rows, 1, width, columns, dtype=torch.int8, device=parents.device)
    if seen.numel():
        index = torch.arange(width, dtype=torch.int32, device=parents.device)
        # Where the run begins that every node belongs to: there the parent is no neighbour.
        begins = torch.where(parents != index - 1, index, 0)
        starts = begins.cummax(dim=1).values.contiguous()
        grid = (rows, width, triton.cdiv(columns, _BLOCK))
        _fill[grid](parents, starts, lengths, seen, width, columns, BLOCK=_BLOCK)
    return seen.bool()
