"""Drawing from softmax weights without replacement on the CPU, after one pass over the logits.

Weights are kept as sums of blocks; those of a block are worked out again when it is drawn from, or
when a token is taken out of it. So a draw costs a block, not the vocabulary.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from guided.kernels.exponential import exp
from guided.kernels.sampling_cpu import BLOCK, greatest


@njit(cache=True, nogil=True, fastmath={"contract"})
def _weigh(x, top, weights):  # type: ignore[no-untyped-def]
    """Fills `weights` with exp(x - top)."""
    for i in range(len(x)):
        weights[i] = exp(x[i] - top)


# Apart from the exponential, whose rounding must not be reordered.
@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _total(weights):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(len(weights)):
        total += weights[i]
    return total


@njit(cache=True, nogil=True)
def _block_sum(x, top, weights):  # type: ignore[no-untyped-def]
    _weigh(x, top, weights)
    return _total(weights[: len(x)])


@njit(cache=True, nogil=True)
def fill(x, sums):  # type: ignore[no-untyped-def]
    """Fills `sums` with the weights exp(x - top) of every block; returns (top, their total).

    `top` is the greatest logit. The total is NaN where there is a NaN, +inf, or nothing finite.
    """
    top = greatest(x)
    if not (top < np.inf and top > -np.inf):
        return top, np.nan
    weights = np.empty(BLOCK)
    for k in range(len(sums)):
        sums[k] = _block_sum(x[k * BLOCK : (k + 1) * BLOCK], top, weights)
    return top, added(sums)


@njit(cache=True, nogil=True)
def added(sums):  # type: ignore[no-untyped-def]
    """The sum of the blocks, from the first to the last."""
    total = 0.0
    for k in range(len(sums)):
        total += sums[k]
    return total


@njit(cache=True, nogil=True)
def draw(x, top, sums, number):  # type: ignore[no-untyped-def]
    """(token, weight) at which the running sum passes `number` times the total.

    `number` is in [0, 1), and the total has to be positive; so is the weight.
    """
    total = added(sums)
    at = min(number * total, np.nextafter(total, 0.0))
    before = 0.0
    k = 0
    while before + sums[k] <= at:
        before += sums[k]
        k += 1
    block = x[k * BLOCK : (k + 1) * BLOCK]
    weights = np.empty(BLOCK)
    _weigh(block, top, weights)
    last = 0
    for i in range(len(block)):
        if weights[i] > 0:
            last = i
            before += weights[i]
            if before > at:
                break
    return k * BLOCK + last, weights[last]


@njit(cache=True, nogil=True)
def remove(x, top, sums, token):  # type: ignore[no-untyped-def]
    """Takes a token out: its logit becomes -inf. Returns the total of what is left."""
    x[token] = -np.inf
    k = token // BLOCK
    sums[k] = _block_sum(x[k * BLOCK : (k + 1) * BLOCK], top, np.empty(BLOCK))
    return added(sums)


@njit(cache=True, nogil=True)
def restrict(x, words):  # type: ignore[no-untyped-def]
    """Takes out every token whose bit is not set in the packed mask."""
    for i in range(len(x)):
        if (words[i >> 5] >> np.int32(i & 31)) & np.int32(1) == 0:
            x[i] = -np.inf
