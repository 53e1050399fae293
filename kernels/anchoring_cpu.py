"""The step problem of anchored decoding on the CPU: a few passes over a row, one exp a token each.

`safe` and `risky` are logits of two laws over the same tokens, `r = risky - safe`. Tokens with a
logit of minus infinity in either are impossible in every law strictly between them.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from guided.kernels.exponential import exp
from guided.kernels.sampling_cpu import BLOCK, greatest

# A row's status.
OK, SAFE_NOT_NUMBERS, RISKY_NOT_NUMBERS, SAFE_EMPTY, RISKY_EMPTY, DISJOINT = range(6)

#: How close to its budget a law is brought, absolutely or as a share of a small budget.
TOLERANCE = 1e-6
_MOST_STEPS = 100
#: Below this total of weights, float64 may lose digits.
_FAINT = 1e-200
#: By how much a law that is to sum to one may fall short.
_SHORT = 1e-12


@njit(cache=True, nogil=True, fastmath={"contract"})
def _weigh(x, top, weights):  # type: ignore[no-untyped-def]
    """Fills `weights` with exp(x - top)."""
    for i in range(len(x)):
        weights[i] = exp(np.float64(x[i]) - top)


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _survey_block(safe, risky, safe_weights, risky_weights, sums):  # type: ignore[no-untyped-def]
    """Adds a block to: both totals, both totals of common tokens, Σ risky weight * r, counts."""
    zs = 0.0
    zr = 0.0
    common_s = 0.0
    common_r = 0.0
    moment = 0.0
    shared = 0.0
    missing = 0.0
    outside = 0.0
    for i in range(len(safe)):
        r = np.float64(risky[i]) - np.float64(safe[i])
        is_common = abs(r) < np.inf
        zs += safe_weights[i]
        zr += risky_weights[i]
        common_s += safe_weights[i] if is_common else 0.0
        common_r += risky_weights[i] if is_common else 0.0
        moment += risky_weights[i] * (r if is_common else 0.0)
        shared += 1.0 if is_common else 0.0
        missing += 1.0 if r == -np.inf else 0.0
        outside += 1.0 if r == np.inf else 0.0
    sums[0] += zs
    sums[1] += zr
    sums[2] += common_s
    sums[3] += common_r
    sums[4] += moment
    sums[5] += shared
    sums[6] += missing
    sums[7] += outside


@njit(cache=True, nogil=True)
def _safe_status(top):  # type: ignore[no-untyped-def]
    if not top < np.inf:
        return SAFE_NOT_NUMBERS
    return SAFE_EMPTY if top == -np.inf else OK


@njit(cache=True, nogil=True)
def _survey(safe, risky, tops, first, second, sums):  # type: ignore[no-untyped-def]
    """Fills `tops` and `sums`; returns the status."""
    tops[0] = greatest(safe)
    tops[1] = greatest(risky)
    for which in range(2):
        if not tops[which] < np.inf:
            return SAFE_NOT_NUMBERS + which
        if tops[which] == -np.inf:
            return SAFE_EMPTY + which
    sums[:] = 0.0
    for begin in range(0, len(safe), BLOCK):
        left = safe[begin : begin + BLOCK]
        right = risky[begin : begin + BLOCK]
        _weigh(left, tops[0], first)
        _weigh(right, tops[1], second)
        _survey_block(left, right, first, second, sums)
    return OK


@njit(cache=True, nogil=True, fastmath={"contract"})
def _blend(safe, risky, theta, law):  # type: ignore[no-untyped-def]
    """Fills `law` with safe + theta * r, minus infinity where either is."""
    for i in range(len(safe)):
        x = np.float64(safe[i])
        r = np.float64(risky[i]) - x
        law[i] = x + theta * r if abs(r) < np.inf else -np.inf


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _moments(safe, risky, weights, sums):  # type: ignore[no-untyped-def]
    """Adds Σ w, Σ w r, Σ w r² of a block."""
    z = 0.0
    first = 0.0
    second = 0.0
    for i in range(len(safe)):
        apart = np.float64(risky[i]) - np.float64(safe[i])
        r = apart if abs(apart) < np.inf else 0.0
        weighed = weights[i] * r
        z += weights[i]
        first += weighed
        second += weighed * r
    sums[0] += z
    sums[1] += first
    sums[2] += second


@njit(cache=True, nogil=True)
def _sum_moments(safe, risky, law, top, weights, sums):  # type: ignore[no-untyped-def]
    sums[:3] = 0.0
    for begin in range(0, len(safe), BLOCK):
        block = law[begin : begin + BLOCK]
        _weigh(block, top, weights)
        _moments(
            safe[begin : begin + BLOCK], risky[begin : begin + BLOCK], weights[: len(block)], sums
        )


@njit(cache=True, nogil=True)
def _evaluate(safe, risky, theta, tops, law, weights, sums):  # type: ignore[no-untyped-def]
    """Fills `law`, the logits at `theta`. Returns log Z of these, the mean and variance of r."""
    _blend(safe, risky, theta, law)
    # No logit of the blend is above the blend of the greatest.
    top = (1 - theta) * tops[0] + theta * tops[1]
    _sum_moments(safe, risky, law, top, weights, sums)
    if sums[0] < _FAINT:
        top = greatest(law)
        _sum_moments(safe, risky, law, top, weights, sums)
    mean = sums[1] / sums[0]
    return top + math.log(sums[0]), mean, max(0.0, sums[2] / sums[0] - mean * mean)


@njit(cache=True, nogil=True)
def _copy(source, target):  # type: ignore[no-untyped-def]
    for i in range(len(source)):
        target[i] = source[i]


@njit(cache=True, nogil=True)
def _project(safe, risky, budget, tops, log_s, low, high, law, weights, sums):  # type: ignore[no-untyped-def]
    """(theta, cost) of the law between, whose cost F(theta) comes up to the budget from below.

    Newton's method on sqrt(F - low), which is all but linear, kept between bounds. `low` and
    `high` are F(0+) and F(1-), and the budget lies strictly between.
    """
    tolerance = TOLERANCE * min(1.0, budget)
    goal = math.sqrt(budget - tolerance / 2 - low) if budget - tolerance / 2 > low else 0.0
    below, above = 0.0, 1.0
    theta = math.sqrt((budget - low) / (high - low))
    if not 0.0 < theta < 1.0:
        theta = 0.5
    cost = 0.0
    last = -1.0
    for _ in range(_MOST_STEPS):
        log_q, mean, variance = _evaluate(safe, risky, theta, tops, law, weights, sums)
        last = theta
        found = max(0.0, theta * mean - (log_q - log_s))
        if found <= budget:
            below, cost = theta, found
            if budget - found <= tolerance:
                break
        else:
            above = theta
        root = math.sqrt(max(found - low, 0.0))
        slope = theta * variance
        new = theta - 2 * root * (root - goal) / slope if slope > 0 else -1.0
        if not below < new < above:
            new = (below + above) / 2
        if new <= below or new >= above:
            break
        theta = new
    if below == 0.0:
        _copy(safe, law)
        return 0.0, 0.0
    if last != below:
        _evaluate(safe, risky, below, tops, law, weights, sums)
    return below, cost


@njit(cache=True, nogil=True)
def _anchor_row(safe, risky, budget, law, first, second, sums, tops):  # type: ignore[no-untyped-def]
    """(theta, cost, status) of one row; fills `law`."""
    if not budget > 0:
        _copy(safe, law)
        return 0.0, 0.0, _safe_status(greatest(safe))
    status = _survey(safe, risky, tops, first, second, sums)
    if status != OK:
        return np.nan, np.nan, status
    if sums[5] == 0:
        return np.nan, np.nan, DISJOINT
    log_s = tops[0] + math.log(sums[0])
    low = -math.log(sums[2] / sums[0]) if sums[6] > 0 else 0.0
    if not low < budget:
        _copy(safe, law)
        return 0.0, 0.0, OK
    high = np.inf
    if sums[3] > 0:
        high = max(0.0, sums[4] / sums[3] - (tops[1] + math.log(sums[3])) + log_s)
    if high <= budget:
        if sums[7] == 0:
            _copy(risky, law)
            return 1.0, high, OK
        # What the safe law cannot say is left out, so the law is not quite the risky one.
        _blend(safe, risky, 1.0, law)
        return np.nextafter(1.0, 0.0), high, OK
    theta, cost = _project(safe, risky, budget, tops, log_s, low, high, law, first, sums)
    return theta, cost, OK


@njit(cache=True, nogil=True)
def anchor_rows(safe, risky, budgets, law, theta, cost, status):  # type: ignore[no-untyped-def]
    """Solves all rows; see `anchoring.anchor`. The last four arrays are filled."""
    first = np.empty(BLOCK, np.float64)
    second = np.empty(BLOCK, np.float64)
    sums = np.empty(8, np.float64)
    tops = np.empty(2, np.float64)
    for row in range(len(budgets)):
        theta[row], cost[row], status[row] = _anchor_row(
            safe[row], risky[row], budgets[row], law[row], first, second, sums, tops
        )


@njit(cache=True, nogil=True, fastmath={"contract"})
def _lower(safe, risky, safe_shift, risky_shift, law, is_free, weights):  # type: ignore[no-untyped-def]
    """Fills `law` with the lesser of both after shifts, and says where that is `risky`."""
    for i in range(len(safe)):
        cap = np.float64(safe[i]) + safe_shift
        free = np.float64(risky[i]) + risky_shift
        lesser = min(cap, free)
        law[i] = lesser
        is_free[i] = 1.0 if free <= cap else 0.0
        weights[i] = exp(lesser)


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _totals(weights, is_free, sums):  # type: ignore[no-untyped-def]
    """Adds the total, that of the free tokens, and their number."""
    total = 0.0
    free = 0.0
    count = 0.0
    for i in range(len(weights)):
        total += weights[i]
        free += weights[i] * is_free[i]
        count += is_free[i]
    sums[0] += total
    sums[1] += free
    sums[2] += count


@njit(cache=True, nogil=True)
def _sum_lower(safe, risky, safe_shift, risky_shift, law, is_free, weights, sums):  # type: ignore[no-untyped-def]
    sums[:3] = 0.0
    for begin in range(0, len(safe), BLOCK):
        block = law[begin : begin + BLOCK]
        left = safe[begin : begin + BLOCK]
        right = risky[begin : begin + BLOCK]
        _lower(left, right, safe_shift, risky_shift, block, is_free, weights)
        _totals(weights[: len(block)], is_free, sums)


@njit(cache=True, nogil=True)
def _cap_row(safe, risky, budget, law, first, second, sums, tops):  # type: ignore[no-untyped-def]
    """(share, log total of the law, log total of the safe logits, status); fills `law`."""
    # Where nothing may be spent the risky law does not matter.
    status = _survey(safe, risky if budget > 0 else safe, tops, first, second, sums)
    if status != OK:
        return np.nan, np.nan, np.nan, status
    log_s = tops[0] + math.log(sums[0])
    log_r = tops[1] + math.log(sums[1])
    if budget > 0 and sums[5] == 0:
        return np.nan, np.nan, np.nan, DISJOINT
    low = -math.log(sums[2] / sums[0]) if sums[6] > 0 else 0.0
    if not low < budget:
        _copy(safe, law)
        return 0.0, log_s, log_s, OK
    shift = -log_r
    before = np.inf
    for _ in range(10 * _MOST_STEPS):
        # The law is min(c p_r, e^budget p_s); its total grows with c by pieces of lines.
        _sum_lower(safe, risky, budget - log_s, shift, law, first, second, sums)
        if sums[2] == before or sums[1] <= 0.0:
            break
        before = sums[2]
        if before == len(safe):
            _copy(risky, law)
            return 1.0, log_r, log_s, OK
        shift += math.log((1.0 - (sums[0] - sums[1])) / sums[1])
    if sums[0] < 1.0 - _SHORT:
        # No room for rounding: what both can say is just as likely as the budget asks for.
        _copy(safe, law)
        return 0.0, log_s, log_s, OK
    return min(1.0, sums[1] / sums[0]), math.log(sums[0]), log_s, OK


@njit(cache=True, nogil=True)
def cap_rows(safe, risky, budgets, law, share, totals, status):  # type: ignore[no-untyped-def]
    """Solves all rows; see `anchoring.cap`. The last four arrays are filled."""
    first = np.empty(BLOCK, np.float64)
    second = np.empty(BLOCK, np.float64)
    sums = np.empty(8, np.float64)
    tops = np.empty(2, np.float64)
    for row in range(len(budgets)):
        share[row], totals[row, 0], totals[row, 1], status[row] = _cap_row(
            safe[row], risky[row], budgets[row], law[row], first, second, sums, tops
        )
