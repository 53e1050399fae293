"""Drawing one token for each of some nodes, under their controls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from guided.controls.pipeline import apply_all
from guided.decoding.branch import Branch
from guided.decoding.sampling import Sampler, log_total
from guided.errors import DeadEndError, LogitsError

_HALF = (torch.float16, torch.bfloat16)


class Drawn(NamedTuple):
    """A token with its log-probabilities: under the raw model, under the law drawn from."""

    token: int
    log_p: float
    log_q: float


def full_precision(logits: Tensor) -> Tensor:
    """Half precision becomes single; the rest stays as it is."""
    return logits.float() if logits.dtype in _HALF else logits


def draw(
    sampler: Sampler,
    branches: Sequence[Branch],
    raw: Tensor,
    aux: Mapping[str, Tensor],
) -> list[Drawn]:
    """One token for every branch, from the raw logits `[n, V]` at its last token.

    The branches' control states become those that the controls have seen the law with.

    Raises:
        LogitsError: NaN, or nothing finite, in the logits.
        DeadEndError: the controls leave no token.
    """
    raw = full_precision(raw)
    total = log_total(raw, raw.softmax(dim=-1))
    law, states = apply_all(
        [branch.pipeline for branch in branches],
        raw.clone(),
        [branch.states for branch in branches],
        aux,
    )
    tokens, log_q = sampler.draw(law, [branch.stream for branch in branches])
    log_p = raw.gather(1, tokens[:, None])[:, 0] - total
    # One transfer for all that the host must know.
    best = law.gather(1, tokens[:, None])[:, 0]
    told = torch.stack([x.double() for x in (tokens, log_p, log_q, total, best)]).T.tolist()
    for branch, state, row in zip(branches, states, told, strict=True):
        check_row(branch, total=row[3], best=row[4])
        branch.states = state
    return [Drawn(int(row[0]), row[1], row[2]) for row in told]


def check_row(branch: Branch, total: float, best: float) -> None:
    """Refuses logits that no token can be drawn from.

    Args:
        total: logarithm of the sum of the raw logits' exponentials.
        best: controlled logit of the token that was drawn.
    """
    position = len(branch.tokens)
    if not math.isfinite(total):
        raise LogitsError(f"the model's logits at position {position} are not numbers (NaN or inf)")
    if best == -math.inf or math.isnan(best):
        raise DeadEndError(
            f"the controls leave no token at position {position}: "
            + ", ".join(type(control).__name__ for control in branch.pipeline.controls),
            position,
        )
