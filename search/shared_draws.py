"""Drawing for branches of which many stand at one place: its law is made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from guided.decoding import Branch, Sampler
from guided.decoding.draws import (
    Drawn,
    NodeDraws,
    check_row,
    controlled,
    draw,
    full_precision,
    told,
)
from guided.decoding.rng import uniform
from guided.decoding.sampling import Plain, log_total
from guided.kernels import sampling_cpu
from guided.kernels.dispatch import Implementation, implementation


def draw_at(
    sampler: Sampler,
    branches: Sequence[Branch],
    places: Sequence[int],
    raw: Tensor,
    aux: Mapping[str, Tensor],
    nodes: NodeDraws | None = None,
) -> list[Drawn]:
    """What `draws.draw` gives; branches at one place get the very same states, as it has seen them.

    Args:
        places: for every branch the row of the logits that is its own.
        raw: `[m, V]` of the model; `aux`: of others.
        nodes: what draws by one kernel from these logits, where that works.
    """
    rows = list(places)
    if nodes is not None:
        return [Drawn(*nodes.draw(b, row, 0)) for b, row in zip(branches, rows, strict=True)]
    first: dict[int, Branch] = {}
    for branch, row in zip(branches, rows, strict=True):
        first.setdefault(row, branch)
    if len(first) == len(branches) or branches[0].pipeline.plain is not None:
        return draw(sampler, branches, raw[rows], {name: x[rows] for name, x in aux.items()})
    used = list(first)
    if used != list(range(len(raw))):
        raw, aux = raw[used], {name: x[used] for name, x in aux.items()}
    raw = full_precision(raw)
    law, states = controlled(list(first.values()), raw, aux)
    number = {row: at for at, row in enumerate(used)}
    of = [number[row] for row in rows]
    total = log_total(raw, raw.softmax(dim=-1))
    if type(sampler) is Plain and implementation(law.device) is Implementation.NUMBA:
        drawn = _inverted(branches, of, law, raw, total)
    else:
        drawn = _drawn(sampler, branches, of, law, raw, total)
    for branch, at in zip(branches, of, strict=True):
        branch.states = states[at]
    return drawn


def _drawn(
    sampler: Sampler,
    branches: Sequence[Branch],
    of: Sequence[int],
    law: Tensor,
    raw: Tensor,
    total: Tensor,
) -> list[Drawn]:
    """A token for every branch, whose law is row `of` of the laws, and its logits of `raw`."""
    at = torch.tensor(of, device=raw.device)
    tokens, log_q = sampler.draw(law[at], [branch.stream for branch in branches])
    log_p, best = raw[at, tokens] - total[at], law[at, tokens]
    return told(branches, tokens, log_p, log_q, total[at], best)


def _inverted(
    branches: Sequence[Branch], of: Sequence[int], law: Tensor, raw: Tensor, total: Tensor
) -> list[Drawn]:
    """The same by inversion on the CPU, without a copy of the law for every branch."""
    laws, logits, totals = (each.detach().numpy() for each in (law, raw, total))
    order = np.argsort(of, kind="stable")
    at = np.asarray(of)[order]
    numbers = np.array([uniform(*branch.stream) for branch in branches])[order]
    n, width = len(order), laws.shape[1]
    tokens, status = np.empty(n, np.int64), np.empty(n, np.int8)
    unused, log_q = np.empty(n), np.empty(n)
    begins = np.searchsorted(at, np.arange(len(laws) + 1))
    for place, (begin, end) in enumerate(pairwise(begins.tolist())):
        # One law for all that are there: rows that lie at no distance from each other.
        some = slice(begin, end)
        sampling_cpu.draw_rows(
            np.ascontiguousarray(laws[place]), 0, width, _no_masks(end - begin),
            laws.dtype.type(1.0), numbers[some], False, tokens[some], unused[some], log_q[some],
            status[some],
        )  # fmt: skip
    log_p, best = logits[at, tokens] - totals[at], laws[at, tokens]
    if not (np.isfinite(totals).all() and (best > -np.inf).all()):
        for where, row_best in zip(order.tolist(), best.tolist(), strict=True):
            check_row(branches[where], total=float(totals[of[where]]), best=row_best)
    found = zip(tokens.tolist(), log_p.tolist(), log_q.tolist(), strict=True)
    drawn = [Drawn(*each) for each in found]
    back = np.empty(n, np.int64)
    back[order] = np.arange(n)
    return [drawn[number] for number in back.tolist()]


def _no_masks(rows: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.empty((rows, 0), np.int32)
