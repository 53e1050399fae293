"""Drawing for branches of which many stand at one place: its law is made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from guided.controls.pipeline import apply_all
from guided.decoding import Branch, Sampler
from guided.decoding.draws import Drawn, check_row, draw, full_precision
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
    law, states = apply_all(
        [branch.pipeline for branch in first.values()],
        raw.clone(),
        [branch.states for branch in first.values()],
        {name: full_precision(logits[used]) for name, logits in aux.items()},
    )
    of = {row: number for number, row in enumerate(used)}
    numbers = torch.tensor([of[row] for row in rows], device=raw.device)
    tokens, log_q = sampler.draw(law[numbers], [branch.stream for branch in branches])
    total = log_total(raw, raw.softmax(dim=-1))[numbers]
    log_p, best = raw[numbers, tokens] - total, law[numbers, tokens]
    # One transfer for all that the host must know.
    told = torch.stack([x.double() for x in (tokens, log_p, log_q, total, best)]).T.tolist()
    for branch, place, row in zip(branches, rows, told, strict=True):
        check_row(branch, total=row[3], best=row[4])
        branch.states = states[of[place]]
    return [Drawn(int(row[0]), row[1], row[2]) for row in told]
