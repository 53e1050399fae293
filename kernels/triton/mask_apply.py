"""Packed token masks applied to logits, on CUDA."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 2048


@triton.jit
def _fill(logits, stride, masks, words, width, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    offsets = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = offsets < width
    packed = tl.load(masks + row * words + offsets // 32, mask=inside, other=-1)
    forbidden = (packed >> (offsets % 32)) & 1 == 0
    nothing = tl.full((BLOCK,), -float("inf"), logits.dtype.element_ty)
    tl.store(logits + row * stride + offsets, nothing, mask=inside & forbidden)


def apply_masks(logits: Tensor, packed: Tensor) -> Tensor:
    """`logits` with `-inf` written in place wherever a mask has no bit."""
    rows, width = logits.shape
    if rows:
        grid = (rows, triton.cdiv(width, _BLOCK))
        _fill[grid](logits, logits.stride(0), packed, packed.shape[1], width, BLOCK=_BLOCK)
    return logits
