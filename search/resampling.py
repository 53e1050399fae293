"""Weights of particles: how even they are, and which particles have how many offspring.

All weights are in log space and float64. Nothing here draws numbers: callers give them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from guided.errors import InputError

Floats = NDArray[np.float64]
#: The i-th random number in [0, 1).
Uniform = Callable[[int], float]
Resampling = Literal["multinomial", "stratified", "systematic", "residual"]


def log_sum(log_weights: Sequence[float] | Floats) -> float:
    """The logarithm of the sum of the weights; -inf if there are none, or all are zero."""
    logs = np.asarray(log_weights, dtype=np.float64)
    best = logs.max(initial=-np.inf)
    if best == -np.inf:
        return -np.inf
    return float(best + np.log(np.exp(logs - best).sum()))


def log_mean(log_weights: Sequence[float] | Floats) -> float:
    """The logarithm of the mean weight."""
    return log_sum(log_weights) - float(np.log(len(log_weights)))


def normalised(log_weights: Sequence[float] | Floats) -> Floats:
    """The weights `[n]`, divided by their sum; equal ones where all are zero."""
    logs = np.asarray(log_weights, dtype=np.float64)
    total = log_sum(logs)
    if total == -np.inf:
        return np.full(len(logs), 1 / len(logs))
    weights = np.exp(logs - total)
    return np.asarray(weights / weights.sum())


def ess(log_weights: Sequence[float] | Floats) -> float:
    """The effective sample size 1 / Σ W², from 1 to n (Kong, Liu and Wong 1994)."""
    return float(1 / np.square(normalised(log_weights)).sum())


def multinomial(weights: Floats, count: int, uniform: Uniform) -> list[int]:
    """Independent draws: ancestors of `count` offspring, by normalised weights."""
    return _inverted(weights, np.sort([uniform(i) for i in range(count)]))


def stratified(weights: Floats, count: int, uniform: Uniform) -> list[int]:
    """One draw from each of `count` equal strata (Kitagawa 1996); counts differ from N W by < 2."""
    return _inverted(weights, (np.arange(count) + [uniform(i) for i in range(count)]) / count)


def systematic(weights: Floats, count: int, uniform: Uniform) -> list[int]:
    """One shared draw for all strata (Carpenter, Clifford and Fearnhead 1999).

    Counts differ from N W by less than 1.
    """
    return _inverted(weights, (np.arange(count) + uniform(0)) / count)


def residual(weights: Floats, count: int, uniform: Uniform) -> list[int]:
    """floor(N W) copies of each, the rest multinomial on what is left (Liu and Chen 1998)."""
    expected = weights * count
    sure = np.floor(expected).astype(np.int64)
    ancestors = np.repeat(np.arange(len(weights)), sure).tolist()
    rest = count - len(ancestors)
    if rest > 0:
        left = expected - sure
        ancestors += multinomial(left / left.sum(), rest, uniform)
    return sorted(ancestors)


_SCHEMES: dict[str, Callable[[Floats, int, Uniform], list[int]]] = {
    "multinomial": multinomial,
    "stratified": stratified,
    "systematic": systematic,
    "residual": residual,
}


def check_resampling(how: str) -> None:
    """Refuses a name that is no scheme.

    Raises:
        InputError: it is none of "multinomial", "stratified", "systematic", "residual".
    """
    if how not in _SCHEMES:
        raise InputError(f"resampling={how!r} is unknown; give one of {', '.join(_SCHEMES)}")


def resample(how: Resampling, weights: Floats, count: int, uniform: Uniform) -> list[int]:
    """Ancestors `[count]` of the offspring, ascending; each has `count` W offspring on average."""
    return _SCHEMES[how](weights, count, uniform)


def _inverted(weights: Floats, points: Floats) -> list[int]:
    """For each point the smallest j whose cumulated weight exceeds it."""
    cumulated = np.cumsum(weights)
    # Rounding must neither leave a gap below 1 nor let a particle of weight zero fill it.
    cumulated[np.flatnonzero(weights)[-1] :] = 1.0
    # (n - 1 + U) / n may be rounded to 1.
    below = np.minimum(points, np.nextafter(1.0, 0.0))
    ancestors: list[int] = np.searchsorted(cumulated, below, side="right").tolist()
    return ancestors
