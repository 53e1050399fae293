"""Token by token: Leviathan et al. 2023 (algorithm 1), Chen et al. 2023."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from guided.decoding.sampling import Stream
from guided.decoding.verifiers.numbers import accept_numbers, draw_residual
from guided.decoding.verifiers.protocol import Verdict
from guided.decoding.verifiers.residual import correction, log_ratios


class Chain:
    """Keeps drafted tokens up to the first that is rejected, each with chance min(1, p / q)."""

    def verify(
        self, log_p: Tensor, log_q: Tensor, tokens: Sequence[int], streams: Sequence[Stream]
    ) -> Verdict:
        numbers = accept_numbers(streams)[: len(tokens)]
        count = accepted(acceptance(log_p, log_q, tokens), numbers)
        weights = correction(log_p, log_q, count, log_scale=0.0)
        return Verdict(count, draw_residual(weights, streams[count]))


def acceptance(log_p: Tensor, log_q: Tensor, tokens: Sequence[int]) -> list[float]:
    """The chance of every drafted token, given that all before it stand."""
    return [math.exp(min(0.0, ratio)) for ratio in log_ratios(log_p, log_q, tokens)]


def accepted(chances: Sequence[float], numbers: Sequence[float]) -> int:
    """How many tokens stand: those before the first whose number is not below its chance."""
    for count, (chance, number) in enumerate(zip(chances, numbers, strict=True)):
        if number >= chance:
            return count
    return len(chances)
