"""How much of a law packed masks allow, and the law's entropy, before anything is masked.

Bit `t % 32` of word `t // 32` of a mask stands for token `t`. All sums are in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from guided.kernels.dispatch import Implementation, implementation
from guided.kernels.exponential import exp
from guided.kernels.mask_apply import masks_on, unpack_masks
from guided.kernels.sampling_cpu import BLOCK, greatest

Masks = NDArray[np.int32]
_CPU_TYPES = (torch.float32, torch.float64)


class Measures(NamedTuple):
    """One number a row, on the host.

    Attributes:
        log_total: log(sum(exp(logits))); NaN where a logit is NaN or +inf, or none is finite.
        log_mass: log of the probability of what the mask allows; -inf where that is nothing.
        entropy: of the whole law, in nats.
    """

    log_total: list[float]
    log_mass: list[float]
    entropy: list[float]


def measure_torch(logits: Tensor, masks: Masks) -> Measures:
    """The reference."""
    law = logits.double()
    log_total = law.logsumexp(-1)
    log_p = law - log_total[:, None]
    allowed = unpack_masks(masks_on(law.device, masks), law.shape[-1])
    log_mass = log_p.masked_fill(~allowed, -torch.inf).logsumexp(-1)
    entropy = -(log_p.exp() * log_p.masked_fill(log_p == -torch.inf, 0.0)).sum(-1)
    bad = ~log_total.isfinite()
    told = torch.stack([log_total, log_mass.clamp(max=0.0), entropy])
    # One transfer for all.
    return Measures(*told.masked_fill(bad, torch.nan).tolist())


@njit(cache=True, nogil=True, fastmath={"contract"})
def _weigh(x, top, weights):  # type: ignore[no-untyped-def]
    """Fills `weights` with exp(x - top)."""
    for i in range(len(x)):
        weights[i] = exp(np.float64(x[i]) - top)


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _total(weights):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(len(weights)):
        total += weights[i]
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _moment(x, top, weights):  # type: ignore[no-untyped-def]
    """The sum of weights times distances from `top`; no weight, no summand."""
    moment = 0.0
    for i in range(len(x)):
        distance = np.float64(x[i]) - top
        moment += weights[i] * (distance if weights[i] > 0.0 else 0.0)
    return moment


@njit(cache=True, nogil=True)
def _allowed(weights, words):  # type: ignore[no-untyped-def]
    """The sum of the weights whose bits are set."""
    total = 0.0
    for word in range(len(words)):
        bits = words[word]
        if bits == 0:
            continue
        begin = word * 32
        for i in range(begin, min(begin + 32, len(weights))):
            if (bits >> np.int32(i - begin)) & np.int32(1) != 0:
                total += weights[i]
    return total


@njit(cache=True, nogil=True)
def _log(value):  # type: ignore[no-untyped-def]
    return math.log(value) if value > 0.0 else (-np.inf if value == 0.0 else np.nan)


@njit(cache=True, nogil=True)
def _measure_rows(logits, masks, out):  # type: ignore[no-untyped-def]
    """Fills `out [3, n]` with log total, log mass and entropy of every row."""
    rows, width = logits.shape
    weights = np.empty(BLOCK, np.float64)
    for row in range(rows):
        x = logits[row]
        top = np.float64(greatest(x))
        if not (-np.inf < top < np.inf):
            out[:, row] = np.nan
            continue
        total, mass, moment = 0.0, 0.0, 0.0
        for begin in range(0, width, BLOCK):
            block = x[begin : begin + BLOCK]
            own = weights[: len(block)]
            _weigh(block, top, own)
            total += _total(own)
            moment += _moment(block, top, own)
            mass += _allowed(own, masks[row, begin // 32 : (begin + BLOCK) // 32])
        out[0, row] = top + math.log(total)
        out[1, row] = min(_log(mass) - math.log(total), 0.0)
        out[2, row] = math.log(total) - moment / total


@njit(cache=True, nogil=True)
def _kept(x, words, kept):  # type: ignore[no-untyped-def]
    """Fills `kept` with the logits whose bits are set, -inf for the others; whether any is set."""
    some = False
    for word in range(len(words)):
        bits = words[word]
        some |= bits != 0
        begin = word * 32
        for i in range(begin, min(begin + 32, len(x))):
            is_set = (bits >> np.int32(i - begin)) & np.int32(1) != 0
            kept[i] = np.float64(x[i]) if is_set else -np.inf
    return some


@njit(cache=True, nogil=True)
def _mass_row(x, mask, without, log_total):  # type: ignore[no-untyped-def]
    """log(sum of exp(x - log_total)) over what the mask allows and `without` does not name."""
    words = mask.copy()
    for token in without:
        words[token >> 5] &= ~(np.int32(1) << np.int32(token & 31))
    kept = np.empty(BLOCK, np.float64)
    top = -np.inf
    for begin in range(0, len(x), BLOCK):
        block = x[begin : begin + BLOCK]
        if _kept(block, words[begin // 32 : (begin + BLOCK) // 32], kept):
            top = max(top, greatest(kept[: len(block)]))
    if not top > -np.inf:
        return top
    weights = np.empty(BLOCK, np.float64)
    total = 0.0
    for begin in range(0, len(x), BLOCK):
        block = x[begin : begin + BLOCK]
        if _kept(block, words[begin // 32 : (begin + BLOCK) // 32], kept):
            _weigh(kept[: len(block)], top, weights)
            total += _total(weights[: len(block)])
    return top + math.log(total) - log_total


def measure(logits: Tensor, masks: Masks) -> Measures:
    """What `masks [n, ceil(V / 32)]` allow of softmax(logits `[n, V]`); nothing is changed."""
    if implementation(logits.device) is not Implementation.NUMBA or logits.dtype not in _CPU_TYPES:
        return measure_torch(logits, masks)
    array: NDArray[Any] = logits.detach().contiguous().numpy()
    out = np.empty((3, len(array)))
    _measure_rows(array, np.require(masks, np.int32, ["C", "W"]), out)
    return Measures(*out.tolist())


def log_mass_of(
    logits: Tensor, mask: NDArray[np.int32], log_total: float, without: Iterable[int] = ()
) -> float:
    """log of the sum of exp(logits `[V]` - log_total) over what `mask [ceil(V / 32)]` allows.

    The sum is relative to its greatest term, so that it is precise however small it is.

    Args:
        without: tokens that do not count.
    """
    left_out = np.fromiter(without, np.int64)
    if implementation(logits.device) is Implementation.NUMBA and logits.dtype in _CPU_TYPES:
        array: NDArray[Any] = logits.detach().contiguous().numpy()
        return float(_mass_row(array, np.require(mask, np.int32, ["C", "W"]), left_out, log_total))
    allowed = unpack_masks(masks_on(logits.device, mask[None]), len(logits))[0]
    allowed[torch.from_numpy(left_out).to(logits.device)] = False
    law = logits.double().masked_fill(~allowed, -torch.inf)
    return float(law.logsumexp(-1)) - log_total
