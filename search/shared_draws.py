"""Drawing for branches of which many stand at one place: its law is made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from guided.decoding import Branch, Sampler
from guided.decoding.draws import Drawn, controlled, draw, full_precision, told
from guided.decoding.sampling import log_total


def draw_at(
    sampler: Sampler,
    branches: Sequence[Branch],
    places: Sequence[int],
    raw: Tensor,
    aux: Mapping[str, Tensor],
) -> list[Drawn]:
    """What `draws.draw` gives; branches at one place get the very same states, as it has seen them.

    Args:
        places: for every branch the row of the logits that is its own.
        raw: `[m, V]` of the model; `aux`: of others.
    """
    rows = list(places)
    first: dict[int, Branch] = {}
    for branch, row in zip(branches, rows, strict=True):
        first.setdefault(row, branch)
    if len(first) == len(branches) or branches[0].pipeline.plain is not None:
        return draw(sampler, branches, raw[rows], {name: x[rows] for name, x in aux.items()})
    used = list(first)
    raw = full_precision(raw[used])
    law, states = controlled(list(first.values()), raw, {name: x[used] for name, x in aux.items()})
    of = {row: number for number, row in enumerate(used)}
    numbers = torch.tensor([of[row] for row in rows], device=raw.device)
    tokens, log_q = sampler.draw(law[numbers], [branch.stream for branch in branches])
    total = log_total(raw, raw.softmax(dim=-1))[numbers]
    log_p, best = raw[numbers, tokens] - total, law[numbers, tokens]
    drawn = told(branches, tokens, log_p, log_q, total, best)
    for branch, row in zip(branches, rows, strict=True):
        branch.states = states[of[row]]
    return drawn
