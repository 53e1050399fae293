"""What a rejected draft leaves of the model's law, on the CPU."""

from __future__ import annotations

import numpy as np
from numba import njit

from guided.kernels.exponential import exp

BLOCK = 512


@njit(cache=True, nogil=True)
def _has_finite(x):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(len(x)):
        count += x[i] > -np.inf
    return count > 0


@njit(cache=True, nogil=True, fastmath={"contract"})
def _excess(log_p, log_q, log_scale, out):  # type: ignore[no-untyped-def]
    for i in range(len(log_p)):
        p = exp(np.float64(log_p[i]) + log_scale)
        q = exp(np.float64(log_q[i]))
        out[i] = p - q if p > q else 0.0


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _total(weights):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(len(weights)):
        total += weights[i]
    return total


@njit(cache=True, nogil=True)
def residual(log_p, log_q, log_scale, out):  # type: ignore[no-untyped-def]
    """Fills `out` with (scale * p - q)_+ of one row."""
    for begin in range(0, len(log_p), BLOCK):
        p = log_p[begin : begin + BLOCK]
        # Most tokens are illegal where a grammar decides.
        if _has_finite(p):
            _excess(p, log_q[begin : begin + BLOCK], log_scale, out[begin : begin + BLOCK])
        else:
            out[begin : begin + BLOCK] = 0.0


@njit(cache=True, nogil=True)
def residual_masses(log_p, log_q, log_scales, out):  # type: ignore[no-untyped-def]
    """Fills `out` with the sum of (scale * p - q)_+ of every row."""
    part = np.empty(BLOCK, np.float64)
    for row in range(len(out)):
        total = 0.0
        for begin in range(0, log_p.shape[1], BLOCK):
            p = log_p[row, begin : begin + BLOCK]
            if _has_finite(p):
                q = log_q[row, begin : begin + BLOCK]
                _excess(p, q, log_scales[row], part)
                total += _total(part[: len(p)])
        out[row] = total
