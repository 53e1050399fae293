"""Drawing one token for every row of a matrix of controlled logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from guided.decoding.rng import Purpose, uniform

_BLOCK = 256


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
    """One draw from the softmax by inversion of the distribution function, in two steps.

    First the block of tokens, by the blocks' sums, then the token inside the block.
    """

    is_random = True

    def draw(self, logits: Tensor, streams: Sequence[Stream]) -> tuple[Tensor, Tensor]:
        numbers = torch.tensor(
            [[uniform(*stream)] for stream in streams], dtype=torch.float64, device=logits.device
        )
        probabilities = logits.softmax(dim=-1)
        padding = -probabilities.shape[1] % _BLOCK
        whole = torch.nn.functional.pad(probabilities, (0, padding)) if padding else probabilities
        blocks = whole.view(len(streams), -1, _BLOCK)
        block, rest = _invert(blocks.sum(dim=-1), numbers)
        inside = blocks.gather(1, block[:, :, None].expand(-1, -1, _BLOCK))[:, 0]
        offset, _ = _invert(inside, rest)
        # Only a row without any finite entry gets beyond; the decoder refuses it.
        tokens = (block * _BLOCK + offset).clamp_(max=logits.shape[1] - 1)
        log_q = logits.gather(1, tokens)[:, 0] - log_total(logits, probabilities)
        return tokens[:, 0], log_q


def _invert(weights: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """(index, number) for each row: where its number falls among the weights, and how far into it.

    The weight there is positive; the new number is again uniform on [0, 1).
    """
    cumulative = weights.cumsum(dim=-1, dtype=torch.float64)
    total = cumulative[:, -1:]
    # Strictly below the total, so that the first entry above it has weight.
    below = torch.nextafter(total, torch.zeros_like(total))
    at = torch.minimum(numbers * total, below)
    index = torch.searchsorted(cumulative, at, right=True).clamp_(max=weights.shape[1] - 1)
    weight = weights.gather(1, index).double()
    begin = cumulative.gather(1, index) - weight
    return index, ((at - begin) / weight).clamp_(0, 1)
