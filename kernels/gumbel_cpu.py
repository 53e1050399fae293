"""Gumbel noise that is a pure function of a key and a token, and its argmax, on the CPU."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

BLOCK = 512
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


@njit(inline="always")
def _bits(key, token):  # type: ignore[no-untyped-def]
    """Number `token` of the splitmix64 sequence that `key` begins; its upper 52 bits."""
    value = key + np.uint64(token + 1) * _GOLDEN
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return np.int64((value ^ (value >> np.uint64(31))) >> np.uint64(12))


@njit(inline="always")
def _noise(bits):  # type: ignore[no-untyped-def]
    # The lower the bits, the greater the noise: numbers near 0 are finer than those near 1.
    return -math.log(-math.log1p(-(bits + 0.5) * 2.0**-52))


@njit(cache=True, nogil=True)
def uniform(key, index):  # type: ignore[no-untyped-def]
    """The number in [0, 1) that makes the noise of token `index`, for other uses of a key."""
    return _bits(key, index) * 2.0**-52


@njit(cache=True, nogil=True)
def noise(key, out):  # type: ignore[no-untyped-def]
    """Fills `out` with the noise of tokens 0, 1, …"""
    for token in range(len(out)):
        out[token] = _noise(_bits(key, token))


@njit(cache=True, nogil=True)
def _fill_bits(key, begin, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = _bits(key, begin + i)


@njit(cache=True, nogil=True)
def _greatest(x):  # type: ignore[no-untyped-def]
    best = -np.inf
    for i in range(len(x)):
        best = max(best, np.float64(x[i]))
    return best


@njit(cache=True, nogil=True)
def _bound(gap):  # type: ignore[no-untyped-def]
    """Bits above it have less noise than `gap`; a little too great, for rounding."""
    chance = -math.expm1(-math.exp(-gap)) * (1 + 1e-9)
    return np.int64(min(chance * 2.0**52 + 1, 2.0**52))


@njit(cache=True, nogil=True)
def noisy_argmax(logits, key):  # type: ignore[no-untyped-def]
    """The token with the greatest logit + noise, the lowest if tied; -1 if no logit is finite."""
    bits = np.empty(BLOCK, np.int64)
    token = -1
    best = -np.inf
    for begin in range(0, len(logits), BLOCK):
        block = logits[begin : begin + BLOCK]
        top = _greatest(block)
        if not top > -np.inf:
            continue
        _fill_bits(key, begin, bits)
        # What no token of this block reaches with less noise needs no logarithm.
        bound = _bound(best - top) if token >= 0 else np.int64(2) ** 52
        for i in range(len(block)):
            if bits[i] <= bound and block[i] > -np.inf:
                score = block[i] + _noise(bits[i])
                if score > best:
                    token, best = begin + i, score
                    bound = _bound(best - top)
    return token


@njit(cache=True, nogil=True)
def noisy_argmaxes(logits, keys, tokens):  # type: ignore[no-untyped-def]
    """Fills `tokens` with `noisy_argmax` of every row."""
    for row in range(len(tokens)):
        tokens[row] = noisy_argmax(logits[row], keys[row])
