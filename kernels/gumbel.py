"""Gumbel noise that is a pure function of a key and a token: the same on every device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from guided.kernels import gumbel_cpu
from guided.kernels.dispatch import Implementation, implementation

_GOLDEN, _FIRST, _SECOND = (
    # As signed numbers: torch multiplies int64 modulo 2**64.
    value - (1 << 64)
    for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def noisy_argmax(logits: Tensor, keys: Sequence[int]) -> Tensor:
    """The token of every row `[n, V]` with the greatest logit + noise, the lowest if tied.

    It has the law of the softmax (Gumbel-max), whatever the other rows are. Token 0 where no logit
    is finite. `keys` are 64-bit numbers, one for each row.
    """
    if implementation(logits.device) is not Implementation.NUMBA:
        scores = logits.double() + noise(keys, logits.shape[1], logits.device)
        return scores.argmax(dim=-1)
    tokens = np.empty(len(keys), np.int64)
    rows = logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
    array = rows.detach().contiguous().numpy()
    gumbel_cpu.noisy_argmaxes(array, np.array(keys, dtype=np.uint64), tokens)
    return torch.from_numpy(tokens).clamp_(min=0)


def noise(keys: Sequence[int], width: int, device: torch.device) -> Tensor:
    """The noise of tokens 0 … width - 1 under every key, float64 `[n, width]`."""
    if implementation(device) is Implementation.NUMBA:
        out = np.empty((len(keys), width))
        for row, key in enumerate(keys):
            gumbel_cpu.noise(np.uint64(key), out[row])
        return torch.from_numpy(out)
    bits = random_bits(keys, width, device)
    return -(-torch.log1p(-(bits.double() + 0.5) * 2.0**-52)).log()


def random_bits(keys: Sequence[int], width: int, device: torch.device) -> Tensor:
    """52 random bits for every token under every key, int64 `[n, width]`.

    Number `token` of the splitmix64 sequence that the key begins (Steele, Lea and Flood 2014,
    figure 16).
    """
    signed = [key - (1 << 64) if key >> 63 else key for key in keys]
    begin = torch.tensor(signed, dtype=torch.int64, device=device)[:, None]
    value = begin + torch.arange(1, width + 1, device=device) * _GOLDEN
    value = (value ^ _shifted(value, 30)) * _FIRST
    value = (value ^ _shifted(value, 27)) * _SECOND
    return _shifted(value ^ _shifted(value, 31), 12)


def _shifted(value: Tensor, places: int) -> Tensor:
    """Shifted right as an unsigned number."""
    return (value >> places) & ((1 << (64 - places)) - 1)
