"""Drawing one token for every row of a matrix of controlled logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from guided.decoding.rng import uniform


class Stream(NamedTuple):
    """Where a row's random number comes from."""

    seed: int
    row: int
    position: int


class Sampler(Protocol):
    """Draws tokens. `draw` gets logits `[n, V]` with at least one finite entry in every row.

    `is_random` is False where equal logits always give the same token.
    """

    is_random: bool

    def draw(self, logits: Tensor, streams: Sequence[Stream]) -> tuple[Tensor, Tensor]:
        """Tokens `[n]` and the log-probabilities `[n]` with which they were drawn."""
        ...


class Greedy:
    """The likeliest token (the lowest id, if tied); drawn with probability one."""

    is_random = False

    def draw(self, logits: Tensor, streams: Sequence[Stream]) -> tuple[Tensor, Tensor]:
        best = logits.argmax(dim=-1)
        return best, torch.zeros(len(best), dtype=torch.float64, device=logits.device)


class Plain:
    """One draw from the softmax, by inversion of the distribution function in float64."""

    is_random = True

    def draw(self, logits: Tensor, streams: Sequence[Stream]) -> tuple[Tensor, Tensor]:
        numbers = torch.tensor(
            [[uniform(*stream)] for stream in streams], dtype=torch.float64, device=logits.device
        )
        wide = logits.double()
        cumulative = (wide - wide.amax(dim=-1, keepdim=True)).exp_().cumsum(dim=-1)
        total = cumulative[:, -1:]
        # Strictly below the total, so that the first entry above it has probability.
        below = torch.nextafter(total, torch.zeros_like(total))
        tokens = torch.searchsorted(cumulative, torch.minimum(numbers * total, below), right=True)
        # Only a row without any finite entry gets there; the decoder refuses it.
        tokens.clamp_(max=logits.shape[-1] - 1)
        log_q = wide.log_softmax(dim=-1).gather(1, tokens)
        return tokens[:, 0], log_q[:, 0]
