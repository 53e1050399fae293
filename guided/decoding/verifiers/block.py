"""The whole block at once: Sun et al. 2025, arXiv 2403.10444."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from guided.decoding.sampling import Stream
from guided.decoding.verifiers.numbers import accept_numbers, draw_residual
from guided.decoding.verifiers.protocol import Verdict
from guided.decoding.verifiers.residual import correction, log_ratios
from guided.kernels.verification import residual_masses


class Block:
    """Keeps the longest prefix of the draft whose own number is below its chance.

    On average at least as many tokens as `Chain` keeps, and the most that any verifier can keep
    that looks at one path only (theorem 2 of the paper).

    A round looks at all drafted tokens before it decides how many stand. So the next round must
    not draft with the random numbers that this one drafted with, not even at positions that were
    given up.
    """

    def verify(
        self, log_p: Tensor, log_q: Tensor, tokens: Sequence[int], streams: Sequence[Stream]
    ) -> Verdict:
        scales = log_scales(log_p, log_q, tokens)
        numbers = accept_numbers(streams)[: len(tokens)]
        count = accepted(acceptance(log_p, log_q, scales, numbers), numbers)
        weights = correction(log_p, log_q, count, scales[count])
        return Verdict(count, draw_residual(weights, streams[count]))


def log_scales(log_p: Tensor, log_q: Tensor, tokens: Sequence[int]) -> list[float]:
    """log P_i for i = 0 … g, where P_i = min(1, P_{i-1} p(x_i) / q(x_i)) and P_0 = 1."""
    scales = [0.0]
    for ratio in log_ratios(log_p, log_q, tokens):
        scales.append(min(0.0, scales[-1] + ratio))
    return scales


def acceptance(
    log_p: Tensor,
    log_q: Tensor,
    scales: Sequence[float],
    numbers: Sequence[float] | None = None,
) -> list[float]:
    """h_i for i = 1 … g, the chance that the prefix of i tokens stands if no longer one does.

    R_i / (R_i + 1 - P_i) with R_i the mass of (P_i p - q)_+ after i tokens; the last is P_g. Where
    the prefix's number is at least P_i, which h_i cannot exceed, 0 stands for h_i.
    """
    last = len(scales) - 1
    chances = [0.0] * last
    if last == 0:
        return chances
    chances[-1] = math.exp(scales[-1])
    wanted = [i for i in range(1, last) if numbers is None or numbers[i - 1] < math.exp(scales[i])]
    if numbers is not None and numbers[-1] < chances[-1]:
        # All stand, whatever the other chances are.
        return chances
    if wanted:
        chosen = torch.tensor([scales[i] for i in wanted], dtype=torch.float64, device=log_p.device)
        masses = residual_masses(log_p[wanted], log_q[wanted], chosen)
        for i, mass in zip(wanted, masses.tolist(), strict=True):
            chances[i - 1] = _chance(mass, scales[i])
    return chances


def _chance(mass: float, log_scale: float) -> float:
    rest = mass - math.expm1(log_scale)
    return mass / rest if rest > 0 else 0.0


def accepted(chances: Sequence[float], numbers: Sequence[float]) -> int:
    """How many tokens stand: the last whose number is below its chance, with all before it."""
    for count in range(len(chances), 0, -1):
        if numbers[count - 1] < chances[count - 1]:
            return count
    return 0
