"""Logistic regression on one feature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

#: Newton's method converges in a handful of steps; more mean that something is wrong.
_MOST_STEPS = 100
_PRECISION = 1e-12


@dataclass(frozen=True, slots=True)
class Logistic:
    """P(y = 1 | x) = sigmoid(intercept + slope x)."""

    intercept: float
    slope: float

    def crossing(self, chance: float) -> float:
        """The x at which the probability is `chance`."""
        return (math.log(chance / (1 - chance)) - self.intercept) / self.slope


def fit(x: Tensor, y: Tensor) -> Logistic:
    """The maximum of the likelihood minus half the squared slope per standard deviation of x.

    That penalty (scikit-learn's default) keeps the slope finite where the classes are separable.

    Args:
        x: `[n]`, not all equal.
        y: `[n]`, 0 or 1, both present.
    """
    x, y = x.double(), y.double()
    mean, scale = x.mean(), x.std()
    features = torch.stack([torch.ones_like(x), (x - mean) / scale], dim=1)
    weights = torch.zeros(2, dtype=torch.float64)
    for _ in range(_MOST_STEPS):
        step = _step(features, y, weights)
        size = 1.0
        while _loss(features, y, weights - size * step) > _loss(features, y, weights) + 1e-12:
            size /= 2
        weights = weights - size * step
        if float(step.abs().max()) < _PRECISION:
            break
    slope = float(weights[1] / scale)
    return Logistic(float(weights[0]) - slope * float(mean), slope)


def _loss(features: Tensor, y: Tensor, weights: Tensor) -> float:
    scores = features @ weights
    wrong = torch.nn.functional.softplus(scores) - y * scores
    return float(wrong.sum() + weights[1] ** 2 / 2)


def _step(features: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Newton's step."""
    chances = (features @ weights).sigmoid()
    gradient = features.T @ (chances - y)
    gradient[1] += weights[1]
    hessian = (features * (chances * (1 - chances))[:, None]).T @ features
    hessian[1, 1] += 1
    # Where all chances are 0 or 1, the intercept's curvature vanishes.
    hessian[0, 0] += 1e-12
    step: Tensor = torch.linalg.solve(hessian, gradient)
    return step
