"""The random numbers of verification: new ones in every round."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from guided.decoding.rng import Purpose, fold, uniform
from guided.decoding.sampling import Stream
from guided.kernels.masked_sampling import invert


def accept_numbers(streams: Sequence[Stream]) -> list[float]:
    """One number in [0, 1) for every drafted token; `streams[0]` is where the round begins.

    A round may have looked at numbers for positions that it then gave up. Had the next round the
    same numbers there, they would no longer be uniform given what was drawn, so the round's first
    position is part of their name.
    """
    begin = streams[0].position
    return [
        uniform(stream.seed, fold((stream.row, begin)), stream.position, Purpose.ACCEPT)
        for stream in streams
    ]


def draw_residual(weights: Tensor, stream: Stream) -> int:
    """A token by its weight `[V]`; no round draws twice at one position."""
    number = uniform(stream.seed, stream.row, stream.position, Purpose.RESIDUAL)
    numbers = torch.tensor([number], dtype=torch.float64, device=weights.device)
    return int(invert(weights[None], numbers))
