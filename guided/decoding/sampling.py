"""Drawing one token for every row of a matrix of controlled logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from guided.decoding.rng import Purpose, uniform
from guided.kernels import masked_sampling


class Stream(NamedTuple):
    """Where a row's random number comes from."""

    seed: int
    row: int
    position: int
    purpose: Purpose = Purpose.TOKEN


class Sampler(Protocol):
    """Draws tokens. `draw` gets logits `[n, V]` with at least one finite entry in every row.

    `is_random` is False where equal logits always give the same token.
    """

    is_random: bool

    def draw(self, logits: Tensor, streams: Sequence[Stream]) -> tuple[Tensor, Tensor]:
        """Tokens `[n]` and the log-probabilities `[n]` with which they were drawn."""
        ...


def log_total(logits: Tensor, probabilities: Tensor) -> Tensor:
    """The logarithm of the sum of exponentials of every row, given the rows' softmax.

    As max - log max softmax: one pass less than logsumexp, and the softmax is at hand. NaN where a
    row has a NaN or nothing finite.
    """
    return logits.amax(dim=-1) - probabilities.amax(dim=-1).log()


class Greedy:
    """The likeliest token (the lowest id, if tied); drawn with probability one."""

    is_random = False

    def draw(self, logits: Tensor, streams: Sequence[Stream]) -> tuple[Tensor, Tensor]:
        if logits.device.type == "cpu":
            # numpy's search is many times faster than torch's.
            best = torch.from_numpy(logits.numpy().argmax(axis=-1))
        else:
            best = logits.argmax(dim=-1)
        return best, torch.zeros(len(best), dtype=torch.float64, device=logits.device)


class Plain:
    """One draw from the softmax by inversion of its distribution function."""

    is_random = True

    def draw(self, logits: Tensor, streams: Sequence[Stream]) -> tuple[Tensor, Tensor]:
        drawn = masked_sampling.draw(logits, uniforms=uniforms(streams))
        # A row without anything to draw has no log-probability; the decoder refuses it.
        return drawn.tokens, drawn.log_q


def uniforms(streams: Sequence[Stream]) -> Tensor:
    """The number in [0, 1) of every stream, on the CPU."""
    return torch.tensor([uniform(*stream) for stream in streams], dtype=torch.float64)
