"""What a rejected draft leaves of the model's law: (scale * p - q)_+ and its mass."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from guided.kernels import verification_cpu
from guided.kernels.dispatch import Implementation, implementation, triton_kernel


def residual_masses(log_p: Tensor, log_q: Tensor, log_scales: Tensor) -> Tensor:
    """The mass of `(exp(log_scale) * p - q)_+` in every row, float64 `[n]`.

    Args:
        log_p: log-probabilities `[n, V]`, -inf allowed; float32 or float64.
        log_q: as `log_p`.
        log_scales: float64 `[n]`, at most 0, on the same device.
    """
    return _MASSES[implementation(log_p.device)](log_p, log_q, log_scales)


def residual(log_p: Tensor, log_q: Tensor, log_scale: float) -> Tensor:
    """`(exp(log_scale) * p - q)_+` of one row, float64 `[V]`."""
    scales = torch.full((1,), log_scale, dtype=torch.float64, device=log_p.device)
    return _WEIGHTS[implementation(log_p.device)](log_p[None], log_q[None], scales)[0]


def _weights_torch(log_p: Tensor, log_q: Tensor, log_scales: Tensor) -> Tensor:
    scaled = (log_p.double() + log_scales[:, None]).exp()
    return (scaled - log_q.double().exp()).clamp_(min=0)


def _masses_torch(log_p: Tensor, log_q: Tensor, log_scales: Tensor) -> Tensor:
    return _weights_torch(log_p, log_q, log_scales).sum(dim=-1)


def _weights_numba(log_p: Tensor, log_q: Tensor, log_scales: Tensor) -> Tensor:
    p, q = (each.detach().contiguous().numpy() for each in (log_p, log_q))
    out = np.empty(p.shape)
    for row, scale in enumerate(log_scales.tolist()):
        verification_cpu.residual(p[row], q[row], scale, out[row])
    return torch.from_numpy(out)


def _masses_numba(log_p: Tensor, log_q: Tensor, log_scales: Tensor) -> Tensor:
    p, q = (each.detach().contiguous().numpy() for each in (log_p, log_q))
    out = np.empty(len(p))
    verification_cpu.residual_masses(p, q, log_scales.numpy(), out)
    return torch.from_numpy(out)


def _weights_triton(log_p: Tensor, log_q: Tensor, log_scales: Tensor) -> Tensor:
    found: Tensor = triton_kernel("verification", "weights")(log_p, log_q, log_scales)
    return found


def _masses_triton(log_p: Tensor, log_q: Tensor, log_scales: Tensor) -> Tensor:
    found: Tensor = triton_kernel("verification", "masses")(log_p, log_q, log_scales)
    return found


_MASSES = {
    Implementation.TORCH: _masses_torch,
    Implementation.NUMBA: _masses_numba,
    Implementation.TRITON: _masses_triton,
}
_WEIGHTS = {
    Implementation.TORCH: _weights_torch,
    Implementation.NUMBA: _weights_numba,
    Implementation.TRITON: _weights_triton,
}
