"""The normalised copying reduction: how much of the gap between two models a method closes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from guided.copying.measures import SIX
from guided.errors import InputError


def normalised_reduction(
    method: Mapping[str, float],
    risky: Mapping[str, float],
    safe: Mapping[str, float],
    metrics: Sequence[str] = SIX,
) -> float:
    """`mean over metrics of (risky - method) / (risky - safe)`, in percent (arXiv 2602.07120).

    100 copies as little as the safe model, 0 as much as the risky one; less and more than that is
    possible. Each argument has the mean of every metric over the texts of a model.

    Raises:
        InputError: no metric, one that is not given, or one in which the risky model copies no
            more than the safe one, so that there is no gap.
    """
    if not metrics:
        raise InputError("metrics is empty: nothing to reduce")
    for name, given in (("method", method), ("risky", risky), ("safe", safe)):
        if lacking := [metric for metric in metrics if metric not in given]:
            raise InputError(f"{name} lacks {', '.join(lacking)}")
    if flat := [metric for metric in metrics if not risky[metric] > safe[metric]]:
        raise InputError(
            f"the risky model copies no more than the safe one by {', '.join(flat)}: "
            "there is no gap to reduce"
        )
    closed = [(risky[m] - method[m]) / (risky[m] - safe[m]) for m in metrics]
    return 100 * statistics.fmean(closed)
