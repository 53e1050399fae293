"""The step problems of anchored decoding on CUDA: one program a row, one launch, no waiting.

The steps are those of `anchor_torch` and `cap_torch`, in float64; a row is read once for every
evaluation of a law, by blocks, with running maxima.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 2048
_MOST_STEPS = tl.constexpr(100)
_MOST_CAPS = tl.constexpr(1000)
_TOLERANCE = tl.constexpr(1e-6)
_SHORT = tl.constexpr(1e-12)
_BELOW_ONE = tl.constexpr(1 - 2.0**-53)
_OK = tl.constexpr(0)
_NOT_NUMBERS = tl.constexpr(1)
_EMPTY = tl.constexpr(3)
_DISJOINT = tl.constexpr(5)


@triton.jit
def _pair(safe, risky, at, inside):
    """A block of both rows: the logits, whether both are possible, and r where they are."""
    s = tl.load(safe + at, mask=inside, other=-float("inf")).to(tl.float64)
    p = tl.load(risky + at, mask=inside, other=-float("inf")).to(tl.float64)
    common = (s > -float("inf")) & (p > -float("inf"))
    r = tl.where(common, p, 0.0) - tl.where(common, s, 0.0)
    return s, p, common, r


@triton.jit
def _rescaled(top, new):
    """exp(top - new): what sums relative to an older maximum are multiplied with."""
    return tl.where(top == -float("inf"), 0.0, tl.exp(top - tl.where(new > top, new, top)))


@triton.jit
def _weights(x, top):
    """exp(x - top); 0 everywhere if top is -inf."""
    finite = tl.where(top == -float("inf"), 0.0, top)
    return tl.exp(x - finite)


@triton.jit
def _added(x, top, total):
    """A running (maximum, sum of exp(x - maximum)) with one more block."""
    new = tl.maximum(top, tl.max(x, axis=0))
    total = total * _rescaled(top, new) + tl.sum(_weights(x, new), axis=0)
    return new, total


@triton.jit
def _log(top, total):
    """The logarithm of a sum of exponentials."""
    return tl.where(total > 0, top + tl.log(tl.where(total > 0, total, 1.0)), -float("inf"))


@triton.jit
def _survey(safe, risky, width, BLOCK: tl.constexpr):
    """log Σ exp of the safe row, the risky row, and the safe row on common tokens; and counts:

    tokens possible under the safe law alone, under the risky law alone, under both; no numbers.
    """
    none = tl.full((), -float("inf"), tl.float64)
    zero = tl.full((), 0.0, tl.float64)
    top_s, top_r, top_c = none, none, none
    sum_s, sum_r, sum_c = zero, zero, zero
    lacks, exceeds, both, bad_s, bad_r = zero, zero, zero, zero, zero
    for begin in range(0, width, BLOCK):
        at = begin + tl.arange(0, BLOCK)
        inside = at < width
        s, p, common, _r = _pair(safe, risky, at, inside)
        wrong_s = (s != s) | (s == float("inf"))
        wrong_r = (p != p) | (p == float("inf"))
        bad_s += tl.sum(wrong_s.to(tl.float64), axis=0)
        bad_r += tl.sum(wrong_r.to(tl.float64), axis=0)
        s = tl.where(wrong_s, -float("inf"), s)
        p = tl.where(wrong_r, -float("inf"), p)
        top_s, sum_s = _added(s, top_s, sum_s)
        top_r, sum_r = _added(p, top_r, sum_r)
        top_c, sum_c = _added(tl.where(common, s, -float("inf")), top_c, sum_c)
        has_s, has_r = s > -float("inf"), p > -float("inf")
        lacks += tl.sum((has_s & ~has_r).to(tl.float64), axis=0)
        exceeds += tl.sum((has_r & ~has_s).to(tl.float64), axis=0)
        both += tl.sum((has_r & has_s).to(tl.float64), axis=0)
    log_s, log_r, log_c = _log(top_s, sum_s), _log(top_r, sum_r), _log(top_c, sum_c)
    return log_s, log_r, log_c, lacks, exceeds, both, bad_s, bad_r


@triton.jit
def _status(budget, log_s, log_r, both, bad_s, bad_r):
    """The status of a row; where nothing may be spent the risky law does not matter."""
    wanted = budget > 0
    code = tl.where(wanted & (both == 0), _DISJOINT, _OK)
    code = tl.where(wanted & (log_r == -float("inf")), _EMPTY + 1, code)
    code = tl.where(wanted & (bad_r > 0), _NOT_NUMBERS + 1, code)
    code = tl.where(log_s == -float("inf"), _EMPTY, code)
    return tl.where(bad_s > 0, _NOT_NUMBERS, code)


@triton.jit
def _terms(safe, risky, width, budget, BLOCK: tl.constexpr):
    """What both problems begin with; see `_Rows` of the reference.

    log Σ exp of the safe row and the risky row; how far the safe law is from itself on the common
    tokens; tokens possible under the risky law alone; whether the budget leaves the safe law only;
    the status.
    """
    log_s, log_r, log_c, lacks, exceeds, both, bad_s, bad_r = _survey(safe, risky, width, BLOCK)
    code = _status(budget, log_s, log_r, both, bad_s, bad_r)
    low = tl.where(lacks > 0, log_s - log_c, 0.0)
    is_safe = ~((budget > 0) & (low < budget))
    return log_s, log_r, low, exceeds, is_safe, code


@triton.jit
def _evaluate(safe, risky, width, theta, log_s, BLOCK: tl.constexpr):
    """The cost of the law at `theta`, and its slope."""
    top = tl.full((), -float("inf"), tl.float64)
    total = tl.full((), 0.0, tl.float64)
    first, second = total, total
    for begin in range(0, width, BLOCK):
        at = begin + tl.arange(0, BLOCK)
        s, _p, common, r = _pair(safe, risky, at, at < width)
        law = tl.where(common, s + theta * r, -float("inf"))
        new = tl.maximum(top, tl.max(law, axis=0))
        scale = _rescaled(top, new)
        weights = _weights(law, new)
        total = total * scale + tl.sum(weights, axis=0)
        first = first * scale + tl.sum(weights * r, axis=0)
        second = second * scale + tl.sum(weights * r * r, axis=0)
        top = new
    safe_total = tl.where(total > 0, total, 1.0)
    mean = first / safe_total
    variance = tl.maximum(second / safe_total - mean * mean, 0.0)
    cost = tl.maximum(theta * mean - (_log(top, total) - log_s), 0.0)
    return cost, theta * variance


@triton.jit
def _anchor(
    safe, risky, budgets, law, thetas, costs, statuses, width, stride_s, stride_r,
    BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    safe += row * stride_s
    risky += row * stride_r
    budget = tl.load(budgets + row)
    log_s, _log_r, low, exceeds, is_safe, code = _terms(safe, risky, width, budget, BLOCK)
    is_safe = is_safe | (code != _OK)
    one = tl.full((), 1.0, tl.float64)
    high, _ = _evaluate(safe, risky, width, one, log_s, BLOCK)
    is_risky = ~is_safe & (high <= budget)
    tolerance = _TOLERANCE * tl.minimum(budget, 1.0)
    goal = tl.sqrt(tl.maximum(budget - tolerance / 2 - low, 0.0))
    below, above = one * 0, one
    cost = one * 0
    span = tl.where(is_safe | is_risky, 1.0, high - low)
    theta = tl.sqrt(tl.maximum(tl.where(is_safe | is_risky, 0.25, (budget - low) / span), 0.0))
    theta = tl.where((theta > 0) & (theta < 1), theta, 0.5)
    done = is_safe | is_risky
    steps = 0
    while (steps < _MOST_STEPS) & ~done:
        found, slope = _evaluate(safe, risky, width, theta, log_s, BLOCK)
        fits = found <= budget
        below = tl.where(fits, theta, below)
        cost = tl.where(fits, found, cost)
        above = tl.where(fits, above, theta)
        root = tl.sqrt(tl.maximum(found - low, 0.0))
        new = theta - 2 * root * (root - goal) / tl.where(slope > 0, slope, one)
        new = tl.where((new > below) & (new < above), new, (below + above) / 2)
        done = (fits & (budget - found <= tolerance)) | (new <= below) | (new >= above)
        theta = tl.where(done, theta, new)
        steps += 1
    # A literal by itself would be of single precision.
    theta = tl.where(is_risky, tl.where(exceeds > 0, one * _BELOW_ONE, one), below)
    theta = tl.where(is_safe, 0.0, theta)
    cost = tl.where(is_risky, high, cost)
    cost = tl.where(theta == 0, 0.0, cost)
    blended = tl.where(is_risky, 1.0, theta)
    for begin in range(0, width, BLOCK):
        at = begin + tl.arange(0, BLOCK)
        inside = at < width
        s, p, common, r = _pair(safe, risky, at, inside)
        x = tl.where(common, s + blended * r, -float("inf"))
        x = tl.where(theta == 1, p, x)
        x = tl.where(theta == 0, s, x)
        tl.store(law + row * width + at, x, mask=inside)
    tl.store(thetas + row, theta)
    tl.store(costs + row, cost)
    tl.store(statuses + row, code.to(tl.int8))


@triton.jit
def _filled(safe, risky, width, budget, log_s, shift, BLOCK: tl.constexpr):
    """Of the law min(e^shift risky, e^budget safe): its sum, that of its free tokens, how many."""
    total = tl.full((), 0.0, tl.float64)
    free, count = total, total
    for begin in range(0, width, BLOCK):
        at = begin + tl.arange(0, BLOCK)
        inside = at < width
        s, p, _common, _r = _pair(safe, risky, at, inside)
        scaled = p + shift
        ceiling = s + (budget - log_s)
        is_free = (scaled <= ceiling) & inside
        weights = tl.where(inside, tl.exp(tl.minimum(scaled, ceiling)), 0.0)
        total += tl.sum(weights, axis=0)
        free += tl.sum(tl.where(is_free, weights, 0.0), axis=0)
        count += tl.sum(is_free.to(tl.float64), axis=0)
    return total, free, count


@triton.jit
def _cap(
    safe, risky, budgets, law, shares, totals, statuses, width, stride_s, stride_r,
    BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    safe += row * stride_s
    risky += row * stride_r
    budget = tl.load(budgets + row)
    log_s, log_r, _low, _exceeds, is_safe, code = _terms(safe, risky, width, budget, BLOCK)
    is_over = is_safe | (code != _OK)
    shift = tl.where(is_over, 0.0, -log_r)
    total, free, count = _filled(safe, risky, width, budget, log_s, shift, BLOCK)
    before = tl.full((), -1.0, tl.float64)
    steps = 0
    while (steps < _MOST_CAPS) & ~is_over & (count != before) & (free > 0):
        before = count
        shift += tl.log((1 - (total - free)) / free)
        total, free, count = _filled(safe, risky, width, budget, log_s, shift, BLOCK)
        steps += 1
    is_risky = (count == width) & ~is_safe
    is_safe = is_safe | (total < 1 - _SHORT) | (code != _OK)
    share = tl.where(is_risky, 1.0, tl.minimum(free / tl.where(total > 0, total, 1.0), 1.0))
    log_q = tl.where(is_risky, log_r, tl.log(tl.where(total > 0, total, 1.0)))
    for begin in range(0, width, BLOCK):
        at = begin + tl.arange(0, BLOCK)
        inside = at < width
        s, p, _common, _r = _pair(safe, risky, at, inside)
        x = tl.minimum(p + shift, s + (budget - log_s))
        x = tl.where(is_risky, p, x)
        x = tl.where(is_safe, s, x)
        tl.store(law + row * width + at, x, mask=inside)
    tl.store(shares + row, tl.where(is_safe, 0.0, share))
    tl.store(totals + 2 * row, tl.where(is_safe, log_s, log_q))
    tl.store(totals + 2 * row + 1, log_s)
    tl.store(statuses + row, code.to(tl.int8))


def _rows(logits: Tensor) -> Tensor:
    return logits if logits.stride(1) == 1 else logits.contiguous()


def anchor(safe: Tensor, risky: Tensor, budgets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(law, theta, cost, status); see `anchoring.anchor`."""
    return _solve(_anchor, safe, risky, budgets, (len(safe),))


def cap(safe: Tensor, risky: Tensor, budgets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(law, share, totals, status); see `anchoring.cap`."""
    return _solve(_cap, safe, risky, budgets, (len(safe), 2))


def _solve(
    kernel: triton.JITFunction, safe: Tensor, risky: Tensor, budgets: Tensor, wide: tuple[int, ...]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Runs a kernel; `wide` is the shape of its third output."""
    safe, risky = _rows(safe), _rows(risky)
    rows, width = safe.shape
    device = safe.device
    law = torch.empty(rows, width, dtype=torch.float64, device=device)
    first = torch.empty(rows, dtype=torch.float64, device=device)
    second = torch.empty(wide, dtype=torch.float64, device=device)
    status = torch.empty(rows, dtype=torch.int8, device=device)
    if rows:
        block = min(_BLOCK, triton.next_power_of_2(width))
        kernel[(rows,)](
            safe, risky, budgets.to(device).double(), law, first, second, status, width,
            safe.stride(0), risky.stride(0), BLOCK=block,
        )  # fmt: skip
    return law, first, second, status
