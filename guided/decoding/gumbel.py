"""Drawing by the Gumbel-max trick, which couples draws from different laws."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from guided.decoding.rng import fold
from guided.decoding.sampling import Stream
from guided.kernels import gumbel
from guided.kernels.masked_sampling import log_totals


class Gumbel:
    """The token with the greatest logit + Gumbel noise; it has the law of the softmax.

    The noise of a token is a pure function of the stream and the token's id. So two laws drawn
    from with one stream give the same token with a chance of sum_x 1 / sum_y max(p_y / p_x,
    q_y / q_x), close to what any coupling can reach and on average more than inversion reaches:
    a drafter that knows the model's law roughly is accepted more often than under `Plain`.
    """

    is_random = True

    def draw(self, logits: Tensor, streams: Sequence[Stream]) -> tuple[Tensor, Tensor]:
        tokens = gumbel.noisy_argmax(logits, keys(streams))
        chosen = logits.gather(1, tokens[:, None])[:, 0].double()
        return tokens, chosen - log_totals(logits)


def keys(streams: Sequence[Stream]) -> list[int]:
    """The key of every stream's noise."""
    return [fold(stream) for stream in streams]


def noise(streams: Sequence[Stream], width: int, device: torch.device) -> Tensor:
    """The noise that `Gumbel` adds to the logits, float64 `[n, width]`.

    For drafters that propose several tokens: the greatest of law + noise, in their order.
    """
    return gumbel.noise(keys(streams), width, device)
