"""What a rejected draft leaves of the model's law, on CUDA."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 2048


@triton.jit
def _excess(log_p, log_q, log_scales, width, out, blocks, SUM: tl.constexpr, BLOCK: tl.constexpr):
    """Of one block: (scale * p - q)_+, or its sum. The rows lie one after the other."""
    row = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1)
    offsets = block * BLOCK + tl.arange(0, BLOCK)
    inside = offsets < width
    at = row * width + offsets
    scale = tl.load(log_scales + row)
    p = tl.exp(tl.load(log_p + at, mask=inside, other=-float("inf")).to(tl.float64) + scale)
    q = tl.exp(tl.load(log_q + at, mask=inside, other=-float("inf")).to(tl.float64))
    excess = tl.where(p > q, p - q, 0.0)
    if SUM:
        tl.store(out + row * blocks + block, tl.sum(excess, axis=0))
    else:
        tl.store(out + at, excess, mask=inside)


def _launch(log_p: Tensor, log_q: Tensor, log_scales: Tensor, out: Tensor, is_sum: bool) -> None:
    rows, width = log_p.shape
    blocks = triton.cdiv(width, _BLOCK)
    if rows:
        _excess[(rows, blocks)](
            log_p.contiguous(), log_q.contiguous(), log_scales, width, out, blocks,
            SUM=is_sum, BLOCK=_BLOCK,
        )  # fmt: skip


def weights(log_p: Tensor, log_q: Tensor, log_scales: Tensor) -> Tensor:
    """`(scale * p - q)_+`, float64 `[n, V]`."""
    out = torch.empty(log_p.shape, dtype=torch.float64, device=log_p.device)
    _launch(log_p, log_q, log_scales, out, False)
    return out


def masses(log_p: Tensor, log_q: Tensor, log_scales: Tensor) -> Tensor:
    """The sum of `(scale * p - q)_+` in every row, float64 `[n]`."""
    rows, width = log_p.shape
    blocks = triton.cdiv(width, _BLOCK)
    out = torch.empty(rows, blocks, dtype=torch.float64, device=log_p.device)
    _launch(log_p, log_q, log_scales, out, True)
    return out.sum(dim=-1)
