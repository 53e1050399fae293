"""What both verifiers of chains share: chances of the drafted tokens, and what follows them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from guided.kernels import verification

#: A smaller residual, in parts of the scale, comes from rounding: equal laws never reject.
_LEAST_MASS = 1e-12


def log_ratios(log_p: Tensor, log_q: Tensor, tokens: Sequence[int]) -> list[float]:
    """log p - log q of every drafted token; -inf where the model's law forbids it."""
    ids = torch.tensor(tokens, dtype=torch.long, device=log_p.device)[:, None]
    drafted = slice(len(tokens))
    both = [law[drafted].gather(1, ids)[:, 0].double() for law in (log_p, log_q)]
    return [p - q if p > -math.inf else -math.inf for p, q in torch.stack(both, dim=1).tolist()]


def correction(log_p: Tensor, log_q: Tensor, accepted: int, log_scale: float) -> Tensor:
    """Weights `[V]` in float64 of the token that follows the accepted ones.

    After all drafted tokens that is p, otherwise `(exp(log_scale) * p - q)_+`.
    """
    if accepted < len(log_q):
        weights = verification.residual(log_p[accepted], log_q[accepted], log_scale)
        if float(weights.sum()) >= _LEAST_MASS * math.exp(log_scale) > 0:
            return weights
    return log_p[accepted].double().exp()
