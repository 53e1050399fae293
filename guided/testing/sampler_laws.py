"""What a sampler with weights must obey, as functions for any test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, stdev

from guided.search.results import SearchResult
from guided.testing.holding import hold

Tokens = tuple[int, ...]


def check_properly_weighted(
    results: Sequence[SearchResult],
    target: Mapping[Tokens, float],
    *,
    share: float = 0.04,
    sigmas: float = 4.0,
) -> None:
    """Raises AssertionError unless independent runs are right on average about a target.

    A sampler is right if E[exp(log_z)] is the target's total, and E[exp(log_z) W(y)] is the
    target's value of y, where W(y) is the total weight of particles that are y. All texts must be
    complete, as cut ones are no candidates.

    Args:
        results: of runs that differ in nothing but their random numbers.
        target: the unnormalised value of every text.
        share: texts with less than this of the total are seen too rarely to be judged.
        sigmas: how many standard errors the mean of the runs may be off.
    """
    total = sum(target.values())
    runs = [(math.exp(result.log_z or 0.0), _weights(result)) for result in results]
    for scale, weights in runs:
        outside = set(weights) - set(target)
        hold(not outside, "no weight on texts that the target does not hold", outside)
        hold(scale > 0, "there is an estimate of the normalising constant", scale)
        hold(abs(sum(weights.values()) - 1) < 1e-9, "the weights add up to 1", weights)
    _check_mean([scale for scale, _ in runs], total, sigmas, "the normalising constant")
    for tokens, value in target.items():
        if value >= share * total:
            seen = [scale * weights.get(tokens, 0.0) for scale, weights in runs]
            _check_mean(seen, value, sigmas, f"the weight of {tokens}")


def _weights(result: SearchResult) -> dict[Tokens, float]:
    weights: dict[Tokens, float] = {}
    for candidate in result.candidates:
        tokens = candidate.result.tokens
        weights[tokens] = weights.get(tokens, 0.0) + (candidate.weight or 0.0)
    return weights


def _check_mean(values: Sequence[float], expected: float, sigmas: float, what: str) -> None:
    error = stdev(values) / len(values) ** 0.5
    found = mean(values)
    hold(
        abs(found - expected) <= sigmas * error + 1e-9 * abs(expected),
        f"{what}: {found:.6g} on average of {len(values)} runs (± {error:.2g}), not {expected:.6g}",
    )
