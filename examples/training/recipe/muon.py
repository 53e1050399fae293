"""Muon: momentum whose matrices are made nearly orthogonal, in the precision that the device likes.

The same law as `torch.optim.Muon`, which always computes in bfloat16. That is ten times slower
than float32 on a processor without bfloat16 arithmetic. Matrices of one shape go through together.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


def orthogonalised(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """`matrices` [count, rows, columns] with all singular values pulled towards 1."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).to(dtype)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """For matrices only; `dtype` is the one of the orthogonalisation."""

    def __init__(
        self,
        matrices: Iterable[Tensor],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for matrices in alike.values():
                self._step(matrices, group["lr"], group["momentum"], group["weight_decay"])

    def _step(self, matrices: list[Tensor], lr: float, momentum: float, decay: float) -> None:
        grads = torch.stack([matrix.grad for matrix in matrices])  # type: ignore[misc]
        state = self.state[matrices[0]]
        mean = state.setdefault("mean", torch.zeros_like(grads)).lerp_(grads, 1 - momentum)
        made = orthogonalised(grads.lerp(mean, momentum), self.dtype)
        scale = lr * math.sqrt(max(1.0, grads.shape[1] / grads.shape[2]))
        torch._foreach_mul_(matrices, 1 - lr * decay)
        torch._foreach_add_(matrices, list(made.unbind(0)), alpha=-scale)
