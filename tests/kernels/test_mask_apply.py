"""Packed masks do in every kernel what they do in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from guided.kernels.mask_apply import (
    apply_masks,
    apply_masks_torch,
    only_token,
    pack_tokens,
    unpack_masks,
)


@pytest.mark.parametrize("width", [1, 31, 32, 33, 64, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_kernel_agrees_with_torch(way, width: int, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(width)
    masks = rng.integers(-(2**31), 2**31, (3, (width + 31) // 32), dtype=np.int64).astype(np.int32)
    masks[0], masks[1, ::2] = -1, 0
    logits = torch.from_numpy(rng.normal(size=(3, width))).to(dtype)
    fast = apply_masks(logits.to(way.device, copy=True), masks).cpu()
    assert torch.equal(fast, apply_masks_torch(logits.clone(), masks))
    assert torch.equal(fast.isfinite(), unpack_masks(torch.from_numpy(masks), width))


def test_packing_and_the_only_token() -> None:
    assert only_token(pack_tokens([45], 70)) == 45
    assert only_token(pack_tokens([], 70)) is None
    assert only_token(pack_tokens([3, 69], 70)) is None
    assert only_token(pack_tokens([31], 70)) == 31
