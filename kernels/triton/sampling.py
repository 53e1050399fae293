"""Drawing tokens on CUDA in two launches: blocks of every row, then rows.

The first computes for every block of a row its greatest logit and its weight relative to it, raw
and under the law; the second adds the blocks up, finds the one in which the distribution function
passes the row's number, and inverts it there. Nothing waits for the host.
"""

from __future__ import annotations

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray
from torch import Tensor

from guided.kernels.mask_apply import masks_on

_BLOCK = 2048
_OK = tl.constexpr(0)
_NOT_NUMBERS = tl.constexpr(1)
_NOTHING_LEFT = tl.constexpr(2)


@triton.jit
def _law(x, masks, words, row, offsets, inside, inverse, MASKED: tl.constexpr):
    """The logits after temperature and mask."""
    law = x * tl.load(inverse)
    if MASKED:
        packed = tl.load(masks + row * words + offsets // 32, mask=inside, other=0)
        law = tl.where((packed >> (offsets % 32)) & 1 != 0, law, -float("inf"))
    return law


@triton.jit
def _weights(x, top):
    """exp(x - top) in float64; 0 everywhere if top is -inf."""
    finite = tl.where(top == -float("inf"), 0.0, top.to(tl.float64))
    return tl.exp(x.to(tl.float64) - finite)


@triton.jit
def _survey(
    logits, stride, masks, words, width, blocks, inverse, tops, sums, best,
    MASKED: tl.constexpr, GREEDY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Of one block: (greatest, weight) raw and under the law, or the law's first greatest."""
    row = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1)
    offsets = block * BLOCK + tl.arange(0, BLOCK)
    inside = offsets < width
    x = tl.load(logits + row * stride + offsets, mask=inside, other=-float("inf"))
    at = row * blocks + block
    top = tl.max(x, axis=0)
    tl.store(tops + 2 * at, top.to(tl.float64))
    tl.store(sums + 2 * at, tl.sum(_weights(x, top), axis=0))
    law = _law(x, masks, words, row, offsets, inside, inverse, MASKED)
    law_top = tl.max(law, axis=0)
    tl.store(tops + 2 * at + 1, law_top.to(tl.float64))
    if GREEDY:
        first = tl.min(tl.where((law == law_top) & inside, offsets, width), axis=0)
        tl.store(best + at, first)
        tl.store(sums + 2 * at + 1, tl.where(law_top > -float("inf"), 1.0, 0.0).to(tl.float64))
    else:
        tl.store(sums + 2 * at + 1, tl.sum(_weights(law, law_top), axis=0))


@triton.jit
def _read_blocks(values, row, blocks, offsets, other):
    return tl.load(values + 2 * (row * blocks + offsets), mask=offsets < blocks, other=other)


@triton.jit
def _settle(
    logits, stride, masks, words, width, blocks, inverse, tops, sums, best, numbers,
    tokens, log_p, log_q, status,
    MASKED: tl.constexpr, GREEDY: tl.constexpr, BLOCK: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """Of one row: token, log p, log q and status."""
    row = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, BLOCKS)
    raw_tops = _read_blocks(tops, row, blocks, k, -float("inf"))
    raw_sums = _read_blocks(sums, row, blocks, k, 0.0)
    law_tops = _read_blocks(tops + 1, row, blocks, k, -float("inf"))
    law_sums = _read_blocks(sums + 1, row, blocks, k, 0.0)
    top = tl.max(raw_tops, axis=0)
    raw = tl.sum(raw_sums * _weights(raw_tops, top), axis=0)
    law_top = tl.max(law_tops, axis=0)
    shares = law_sums * _weights(law_tops, law_top)
    total = tl.sum(shares, axis=0)
    if GREEDY:
        firsts = tl.load(best + row * blocks + k, mask=k < blocks, other=width)
        token = tl.min(tl.where(law_tops == law_top, firsts, width), axis=0).to(tl.int64)
        chosen = 0.0
    else:
        ends = tl.cumsum(shares, axis=0)
        # Strictly below the total, so that some block passes it.
        number = tl.load(numbers + row) * total
        passed = (ends <= number) & (k < blocks)
        full = tl.max(tl.where(shares > 0, k, 0), axis=0)
        block = tl.minimum(tl.sum(passed.to(tl.int32), axis=0), full)
        before = tl.sum(tl.where(k == block - 1, ends, 0.0), axis=0)
        offsets = block * BLOCK + tl.arange(0, BLOCK)
        inside = offsets < width
        x = tl.load(logits + row * stride + offsets, mask=inside, other=-float("inf"))
        law = _law(x, masks, words, row, offsets, inside, inverse, MASKED)
        weights = _weights(law, law_top)
        inner = before + tl.cumsum(weights, axis=0)
        last = tl.max(tl.where(weights > 0, offsets, 0), axis=0)
        first = tl.min(tl.where((inner > number) & (weights > 0), offsets, width), axis=0)
        token = tl.minimum(first, last).to(tl.int64)
        value = tl.max(tl.where(offsets == token, law, -float("inf")), axis=0)
        chosen = value.to(tl.float64) - (law_top + tl.log(tl.where(total > 0, total, 1.0)))
    bad = ~((top > -float("inf")) & (top < float("inf")) & (raw < float("inf")))
    bad = bad | ~(total < float("inf"))
    empty = ~(total > 0)
    code = tl.where(bad, _NOT_NUMBERS, tl.where(empty, _NOTHING_LEFT, _OK))
    fine = code == _OK
    token = tl.where(fine, token, 0)
    logit = tl.load(logits + row * stride + token).to(tl.float64)
    log_raw = top + tl.log(tl.where(fine, raw, 1.0))
    tl.store(tokens + row, token)
    tl.store(log_p + row, tl.where(fine, logit - log_raw, float("nan")))
    tl.store(log_q + row, tl.where(fine, chosen, float("nan")))
    tl.store(status + row, code.to(tl.int8))


def _reciprocal(temperature: float, dtype: torch.dtype) -> float:
    """1 / temperature, rounded as torch does on CUDA, where it divides by a number so."""
    number = np.float32 if dtype == torch.float32 else np.float64
    return float(number(1) / number(temperature))


def draw(
    logits: Tensor,
    masks: NDArray[np.int32] | Tensor | None,
    temperature: float,
    uniforms: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(tokens, log p, log q, status); see `masked_sampling.draw`."""
    rows, width = logits.shape
    device = logits.device
    if logits.stride(1) != 1:
        logits = logits.contiguous()
    tokens = torch.zeros(rows, dtype=torch.int64, device=device)
    log_p, log_q = torch.empty(2, rows, dtype=torch.float64, device=device)
    status = torch.empty(rows, dtype=torch.int8, device=device)
    if not rows:
        return tokens, log_p, log_q, status
    blocks = triton.cdiv(width, _BLOCK)
    tops, sums = torch.empty(2, rows, blocks, 2, dtype=torch.float64, device=device)
    best = torch.empty(rows, blocks, dtype=torch.int32, device=device)
    packed = None if masks is None else masks_on(device, masks)
    words = 0 if packed is None else packed.shape[1]
    numbers = None if uniforms is None else uniforms.to(device, non_blocking=True)
    reciprocal = _reciprocal(temperature, logits.dtype)
    inverse = torch.full((1,), reciprocal, dtype=logits.dtype, device=device)
    given = (logits, logits.stride(0), packed if packed is not None else best, words, width, blocks)
    kinds = {"MASKED": packed is not None, "GREEDY": numbers is None, "BLOCK": _BLOCK}
    _survey[(rows, blocks)](*given, inverse, tops, sums, best, **kinds)
    _settle[(rows,)](
        *given, inverse, tops, sums, best, numbers if numbers is not None else tops,
        tokens, log_p, log_q, status, **kinds, BLOCKS=triton.next_power_of_2(blocks),
    )  # fmt: skip
    return tokens, log_p, log_q, status
