"""What table models say, computed one prefix at a time without the decoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from guided.model import Model

STOP = 0


def log_law(model: Model, prefix: Sequence[int]) -> Tensor:
    """The log-probabilities `[V]` of the next token."""
    ids = torch.tensor([list(prefix)])
    logits = model.network.forward(ids, None, None, None).logits[0, -1]
    return logits.double().log_softmax(-1)


def entropy(model: Model, prefix: Sequence[int]) -> float:
    law = log_law(model, prefix)
    return float(-(law.exp() * torch.where(law.isfinite(), law, 0)).sum())


def greedy(model: Model, prompt: Sequence[int], tokens: Sequence[int], most: int) -> list[int]:
    """`tokens` and what greedy decoding adds to them, at most `most` tokens in all."""
    tokens = list(tokens)
    while len(tokens) < most and (not tokens or tokens[-1] != STOP):
        tokens.append(int(log_law(model, [*prompt, *tokens]).argmax()))
    return tokens


def spelled(model: Model, tokens: Sequence[int]) -> str:
    return model.decode(tokens)


def log_p(model: Model, prompt: Sequence[int], tokens: Sequence[int]) -> list[float]:
    """The log-probability of each token."""
    return [
        float(log_law(model, [*prompt, *tokens[:at]])[token]) for at, token in enumerate(tokens)
    ]
