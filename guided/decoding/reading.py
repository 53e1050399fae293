"""What a stage returns when it has read prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from guided.decoding.trunks import Place
from guided.kernels import masked_sampling

#: Logits that are held at once where those of a whole prompt are wanted.
MOST_LOGITS = 1 << 26
#: Logits that are brought to double precision at once.
_PIECE = 1 << 22
#: Prompts are read together while their masks have no more elements than this.
_MASK_LIMIT = 1 << 25


class Reading(NamedTuple):
    """Places of prompts, the logits `[n, V]` after their last tokens, and how likely they were.

    `log_p` has the log-probability of every token after a prompt's first one, given those before
    it, under the raw model; None where nobody asked for it.
    """

    places: list[Place]
    logits: Tensor
    log_p: list[list[float]] | None = None


def fitted(logits: Tensor, width: int) -> Tensor:
    """Logits `[..., V]` with so many columns: further ones stand for nothing and are cut off,
    missing ones are impossible.
    """
    missing = width - logits.shape[-1]
    if missing == 0:
        return logits
    if missing < 0:
        return logits[..., :width]
    return torch.nn.functional.pad(logits, (0, missing), value=-torch.inf)


def token_log_p(logits: Tensor, rows: Sequence[Sequence[int]]) -> list[list[float]]:
    """Log-probabilities of the tokens of rows after the first, from logits `[n, q, V]`.

    Rows end in the last column.
    """
    return [
        following_log_p(logits[index, logits.shape[1] - len(row) : -1], row[1:])
        for index, row in enumerate(rows)
    ]


def following_log_p(logits: Tensor, tokens: Sequence[int]) -> list[float]:
    """Log-probabilities of tokens, each from the row of logits `[q, V]` before it."""
    step = max(1, _PIECE // logits.shape[-1])
    found: list[float] = []
    for at in range(0, len(tokens), step):
        some = logits[at : min(at + step, len(tokens))]
        ids = torch.tensor(tokens[at : at + step], device=logits.device)[:, None]
        chosen = some.gather(1, ids)[:, 0].double()
        found += (chosen - masked_sampling.log_totals(some).to(chosen.device)).tolist()
    return found


def grouped(rows: Sequence[Sequence[int]], scores: int) -> Iterator[list[Sequence[int]]]:
    """Rows in their order, as many together as there is room for one mask and for their logits.

    Args:
        scores: logits that are held for every token.
    """
    group: list[Sequence[int]] = []
    width = 0
    for row in rows:
        wider = max(width, len(row))
        tokens = (len(group) + 1) * wider
        if group and (tokens * wider > _MASK_LIMIT or tokens * scores > MOST_LOGITS):
            yield group
            group, wider = [], len(row)
        group.append(row)
        width = wider
    if group:
        yield group
