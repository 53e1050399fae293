"""Packed token masks applied to logits: a torch reference, a numba and a Triton twin.

Bit `t % 32` of word `t // 32` of a mask stands for token `t`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from guided.kernels import mask_apply_cpu
from guided.kernels.dispatch import Implementation, implementation, triton_kernel

_CPU_TYPES = (torch.float32, torch.float64)


def unpack_masks(masks: Tensor, width: int) -> Tensor:
    """A boolean `[n, width]` tensor from packed int32 `[n, words]`, on the masks' device."""
    shifts = torch.arange(32, dtype=torch.int32, device=masks.device)
    bits = (masks.unsqueeze(-1) >> shifts) & 1
    return bits.flatten(1)[:, :width].bool()


def masks_on(device: torch.device, masks: NDArray[np.int32] | Tensor) -> Tensor:
    """Packed masks as a tensor on `device`."""
    if isinstance(masks, Tensor):
        return masks.to(device)
    # torch warns of read-only arrays.
    whole = np.require(masks, np.int32, ["C", "W"])
    return torch.from_numpy(whole).to(device, non_blocking=True)


def apply_masks_torch(logits: Tensor, masks: NDArray[np.int32] | Tensor) -> Tensor:
    """`logits` with `-inf` written in place wherever a mask has no bit."""
    forbidden = ~unpack_masks(masks_on(logits.device, masks), logits.shape[-1])
    return logits.masked_fill_(forbidden, -torch.inf)


def apply_masks(logits: Tensor, masks: NDArray[np.int32]) -> Tensor:
    """`logits [n, V]` with `-inf` written in place wherever `masks [n, ceil(V/32)]` has no bit."""
    chosen = implementation(logits.device)
    if chosen is Implementation.NUMBA and logits.dtype in _CPU_TYPES and logits.is_contiguous():
        array: NDArray[Any] = logits.detach().numpy()
        mask_apply_cpu.fill(array, masks)
        return logits
    if chosen is Implementation.TRITON and logits.stride(-1) == 1:
        packed = masks_on(logits.device, masks)
        found: Tensor = triton_kernel("mask_apply", "apply_masks")(logits, packed)
        return found
    return apply_masks_torch(logits, masks)


def only_token(mask: NDArray[np.int32]) -> int | None:
    """The one token that `mask` allows, None if it allows none or several."""
    first, second = mask_apply_cpu.first_two(mask)
    return None if first < 0 or second >= 0 else int(first)


def pack_tokens(tokens: Any, width: int) -> NDArray[np.int32]:
    """The packed, read-only mask that allows exactly `tokens` (an iterable of ids)."""
    flags = np.zeros((width + 31) // 32 * 32, dtype=bool)
    flags[list(tokens)] = True
    mask = np.packbits(flags, bitorder="little").view(np.int32)
    mask.flags.writeable = False
    return mask
