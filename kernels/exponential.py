"""The exponential function in a form that compilers turn into vector instructions."""

from __future__ import annotations

import numpy as np
from numba import njit

_LOG2_E = 1.4426950408889634
# ln 2 in two parts; multiples of the first by exponents of float64 are exact.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
# Adding and subtracting 1.5 * 2**52 rounds to an integer, which then stands in the low bits.
_SHIFT = 6755399441055744.0
_LEAST = -708.0


@njit(inline="always")
def exp(x):  # type: ignore[no-untyped-def]
    """exp(x) of a float64 x <= 0 to two units in the last place; 0 below -708, NaN for NaN.

    Cody and Waite's reduction and a Taylor polynomial: no branch and no call, so that a loop over
    it is vectorised, which numba does not do with a call of the C library.
    """
    low = x < _LEAST
    x = _LEAST if low else x
    shifted = x * _LOG2_E + _SHIFT
    k = shifted - _SHIFT
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    first = (1.0 + r) + r2 * (1 / 2 + r * (1 / 6))
    second = (1 / 24 + r * (1 / 120)) + r2 * (1 / 720 + r * (1 / 5040))
    third = (1 / 40320 + r * (1 / 362880)) + r2 * (1 / 3628800 + r * (1 / 39916800))
    series = first + r4 * (second + r4 * (third + r4 * (1 / 479001600)))
    exponent = (np.float64(shifted).view(np.int64) + 1023) << 52
    scaled = series * np.int64(exponent).view(np.float64)
    return 0.0 if low else scaled
