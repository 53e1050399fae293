"""One token for every row of raw logits, with the row's temperature, mask and random number.

The hot path of every decoding step: what the controls `Temperature` and a mask, then a softmax
and the inversion of its distribution function do one after the other, in two passes over a row.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from guided.kernels import sampling_cpu
from guided.kernels.dispatch import Implementation, implementation, triton_kernel
from guided.kernels.mask_apply import apply_masks_torch

#: Packed, `[n, ceil(V / 32)]`; on the logits' device where it is a tensor.
Masks = NDArray[np.int32] | Tensor
_HALF = (torch.float16, torch.bfloat16)


class Status(IntEnum):
    """What became of a row."""

    OK = sampling_cpu.OK
    #: A NaN or +inf among the raw logits, or nothing finite.
    NOT_NUMBERS = sampling_cpu.NOT_NUMBERS
    #: The mask leaves no token with a finite logit.
    NOTHING_LEFT = sampling_cpu.NOTHING_LEFT


class Drawn(NamedTuple):
    """One entry a row, on the logits' device.

    Attributes:
        tokens: int64; 0 where the status is not OK.
        log_p: float64, of the token under the raw logits; NaN where the status is not OK.
        log_q: float64, of the token under the law it was drawn from (0 where it was chosen).
        status: int8, a `Status`.
    """

    tokens: Tensor
    log_p: Tensor
    log_q: Tensor
    status: Tensor


def draw_lists(
    logits: Tensor,
    masks: Masks | None = None,
    temperature: float = 1.0,
    uniforms: Tensor | None = None,
) -> tuple[list[int], list[float], list[float], list[int]]:
    """What `draw` gives, on the host: tokens, log p, log q, status of every row."""
    if logits.dtype in _HALF:
        logits = logits.float()
    if implementation(logits.device) is Implementation.NUMBA:
        tokens, log_p, log_q, status = draw_arrays(logits, masks, temperature, uniforms)
        return tokens.tolist(), log_p.tolist(), log_q.tolist(), status.tolist()
    drawn = draw(logits, masks, temperature, uniforms)
    # One transfer for all.
    told = torch.stack([each.double() for each in drawn]).tolist()
    return [int(token) for token in told[0]], told[1], told[2], [int(each) for each in told[3]]


def draw(
    logits: Tensor,
    masks: Masks | None = None,
    temperature: float = 1.0,
    uniforms: Tensor | None = None,
) -> Drawn:
    """One token for every row, from softmax(logits / temperature) on the allowed tokens.

    The token is the first at which the distribution function, in float64, passes the row's uniform
    number; without `uniforms` it is the likeliest, the lowest id if tied. Given equal logits the
    token does not depend on the other rows.

    Args:
        logits: raw, `[n, V]`; left as they are.
        masks: packed `[n, ceil(V / 32)]`; bit `t % 32` of word `t // 32` allows token `t`.
        uniforms: float64 `[n]` in [0, 1), on any device.
    """
    if logits.dtype in _HALF:
        logits = logits.float()
    return _IMPLEMENTATIONS[implementation(logits.device)](logits, masks, temperature, uniforms)


def log_totals(logits: Tensor) -> Tensor:
    """log(sum(exp(x))) of every row `[n, V]`, in float64; not finite where a row is bad."""
    if logits.dtype in _HALF:
        logits = logits.float()
    if implementation(logits.device) is not Implementation.NUMBA:
        return logits.double().logsumexp(dim=-1)
    flat, stride = _flat(logits)
    out = np.empty(len(logits))
    sampling_cpu.log_totals(flat, stride, logits.shape[1], out)
    return torch.from_numpy(out)


def draw_torch(
    logits: Tensor, masks: Masks | None, temperature: float, uniforms: Tensor | None
) -> Drawn:
    """The reference."""
    log_total = logits.double().logsumexp(dim=-1)
    law = logits / temperature
    if masks is not None:
        apply_masks_torch(law, masks)
    top = law.amax(dim=-1)
    weights = (law.double() - top.double()[:, None]).exp()
    if uniforms is None:
        tokens, log_q = law.argmax(dim=-1), torch.zeros_like(log_total)
    else:
        tokens = invert(weights, uniforms.to(logits.device))
        log_q = weights.gather(1, tokens[:, None])[:, 0].log() - weights.sum(dim=-1).log()
    log_p = logits.gather(1, tokens[:, None])[:, 0].double() - log_total
    bad = ~log_total.isfinite() | top.isnan() | (top == torch.inf)
    status = torch.where(bad, Status.NOT_NUMBERS, (top == -torch.inf) * Status.NOTHING_LEFT)
    fine = status == Status.OK
    return Drawn(
        tokens.where(fine, 0),
        log_p.where(fine, torch.nan),
        log_q.where(fine, torch.nan),
        status.to(torch.int8),
    )


def invert(weights: Tensor, numbers: Tensor) -> Tensor:
    """For every row the first index at which the running sum passes its number times the sum.

    The weight there is positive.
    """
    cumulative = weights.cumsum(dim=-1)
    total = cumulative[:, -1:]
    # Strictly below the total, so that the first entry above it has weight.
    below = torch.nextafter(total, torch.zeros_like(total))
    at = torch.minimum(numbers[:, None] * total, below)
    return torch.searchsorted(cumulative, at, right=True)[:, 0].clamp_(max=weights.shape[1] - 1)


def draw_numba(
    logits: Tensor, masks: Masks | None, temperature: float, uniforms: Tensor | None
) -> Drawn:
    """On the CPU; a row's logits have to lie side by side, the rows may lie apart."""
    return Drawn(*map(torch.from_numpy, draw_arrays(logits, masks, temperature, uniforms)))


def draw_arrays(
    logits: Tensor, masks: Masks | None, temperature: float, uniforms: Tensor | None
) -> tuple[NDArray[Any], ...]:
    """What `Drawn` holds, as numpy arrays; logits on the CPU, in single or double precision."""
    rows, width = logits.shape
    flat, stride = _flat(logits)
    tokens = np.empty(rows, np.int64)
    log_p, log_q = np.empty(rows), np.empty(rows)
    status = np.empty(rows, np.int8)
    numbers = np.zeros(rows) if uniforms is None else uniforms.detach().cpu().numpy()
    sampling_cpu.draw_rows(
        flat, stride, width, _writable(masks, rows), flat.dtype.type(temperature), numbers,
        uniforms is None, tokens, log_p, log_q, status,
    )  # fmt: skip
    return tokens, log_p, log_q, status


def _flat(logits: Tensor) -> tuple[NDArray[Any], int]:
    """The memory from the first logit to the last, and the distance of two rows in it."""
    rows, width = logits.shape
    if logits.stride(1) != 1 or rows == 0:
        logits = logits.contiguous()
    stride = logits.stride(0)
    length = (rows - 1) * stride + width if rows else 0
    return logits.detach().as_strided((length,), (1,)).numpy(), stride


def _writable(masks: Masks | None, rows: int) -> NDArray[np.int32]:
    """The masks in the one form that the kernel is compiled for."""
    if masks is None:
        return np.empty((rows, 0), np.int32)
    if isinstance(masks, Tensor):
        masks = masks.numpy()
    return np.require(masks, np.int32, ["C", "W"])


def draw_triton(
    logits: Tensor, masks: Masks | None, temperature: float, uniforms: Tensor | None
) -> Drawn:
    """On CUDA."""
    found = triton_kernel("sampling", "draw")(logits, masks, temperature, uniforms)
    return Drawn(*found)


_IMPLEMENTATIONS = {
    Implementation.TORCH: draw_torch,
    Implementation.NUMBA: draw_numba,
    Implementation.TRITON: draw_triton,
}
