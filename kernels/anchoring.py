"""The law nearest to a risky one within a given distance of a safe one, row by row.

Two distances: the Kullback-Leibler divergence (`anchor`, the step problem of anchored decoding,
arXiv 2602.07120) and the greatest log-ratio (`cap`). Everything is in float64.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from guided.kernels import anchoring_cpu
from guided.kernels.anchoring_cpu import TOLERANCE
from guided.kernels.dispatch import Implementation, implementation

_HALF = (torch.float16, torch.bfloat16)
#: Steps of the reference; it stops earlier where all rows are done.
_MOST_STEPS = 100
_SHORT = 1e-12


class Status(IntEnum):
    """What became of a row."""

    OK = anchoring_cpu.OK
    #: A NaN or +inf among the safe model's logits.
    SAFE_NOT_NUMBERS = anchoring_cpu.SAFE_NOT_NUMBERS
    RISKY_NOT_NUMBERS = anchoring_cpu.RISKY_NOT_NUMBERS
    #: No finite logit at all.
    SAFE_EMPTY = anchoring_cpu.SAFE_EMPTY
    RISKY_EMPTY = anchoring_cpu.RISKY_EMPTY
    #: No token is possible under both.
    DISJOINT = anchoring_cpu.DISJOINT


class Anchored(NamedTuple):
    """What `anchor` finds.

    Attributes:
        law: logits `[n, V]`, float64; those of the safe or risky law, to the last bit, where it
            is one of them.
        theta: 0 the safe law, 1 the risky one; `[n]`. Below 1 where the law is the risky one
            without what the safe law holds impossible.
        cost: KL(law || safe) `[n]`, never above the budget.
        status: `Status` of every row `[n]`; where it is not OK, the rest means nothing.
    """

    law: Tensor
    theta: Tensor
    cost: Tensor
    status: Tensor


class Capped(NamedTuple):
    """What `cap` finds.

    Attributes:
        law: logits `[n, V]`, float64; see `Anchored`.
        share: `[n]`, the mass of the tokens that the cap leaves alone: 0 the safe law, 1 the
            risky one.
        totals: `[n, 2]`: log(sum(exp)) of the law's logits, and of the safe ones.
        status: see `Anchored`.
    """

    law: Tensor
    share: Tensor
    totals: Tensor
    status: Tensor


def anchor(safe: Tensor, risky: Tensor, budgets: Tensor) -> Anchored:
    """The law q of least KL(q || risky) with KL(q || safe) <= budget, for every row.

    That is q ∝ safe^(1 - theta) risky^theta. A token that is impossible under either has no mass
    for 0 < theta < 1. Where the law lies strictly between, its cost is within 1e-6 of the budget,
    from below (within 1e-6 of the budget's size if that is below 1). A budget too small for any
    law on the common tokens, or none, gives the safe law.

    Args:
        safe: logits `[n, V]`; `risky` likewise.
        budgets: float64 `[n]`, in nats.
    """
    safe, risky = _full(safe), _full(risky).to(safe.device)
    return _ANCHOR[implementation(safe.device)](safe, risky, budgets)


def cap(safe: Tensor, risky: Tensor, budgets: Tensor) -> Capped:
    """The law q of least KL(q || risky) with log(q / safe) <= budget everywhere, for every row.

    That is q = min(c risky, e^budget safe), with c such that it sums to one. Arguments as in
    `anchor`; a budget too small for any law on the common tokens gives the safe law.
    """
    safe, risky = _full(safe), _full(risky).to(safe.device)
    return _CAP[implementation(safe.device)](safe, risky, budgets)


def _full(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype in _HALF else logits


# --- numba


def _arrays(safe: Tensor, risky: Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both as contiguous arrays of one type, so that few variants are compiled."""
    if safe.dtype != risky.dtype:
        safe, risky = safe.double(), risky.double()
    return (
        np.ascontiguousarray(safe.detach().numpy()),
        np.ascontiguousarray(risky.detach().numpy()),
    )


def _anchor_numba(safe: Tensor, risky: Tensor, budgets: Tensor) -> Anchored:
    left, right = _arrays(safe, risky)
    law = np.empty(left.shape)
    theta, cost = np.empty(len(left)), np.empty(len(left))
    status = np.empty(len(left), np.int8)
    anchoring_cpu.anchor_rows(left, right, budgets.double().numpy(), law, theta, cost, status)
    return Anchored(*map(torch.from_numpy, (law, theta, cost, status)))


def _cap_numba(safe: Tensor, risky: Tensor, budgets: Tensor) -> Capped:
    left, right = _arrays(safe, risky)
    law = np.empty(left.shape)
    share, totals = np.empty(len(left)), np.empty((len(left), 2))
    status = np.empty(len(left), np.int8)
    anchoring_cpu.cap_rows(left, right, budgets.double().numpy(), law, share, totals, status)
    return Capped(*map(torch.from_numpy, (law, share, totals, status)))


# --- torch


class _Rows:
    """Both laws, and what is common to the two problems."""

    def __init__(self, safe: Tensor, risky: Tensor, budgets: Tensor) -> None:
        self.safe, self.risky = safe.double(), risky.double()
        self.budget = budgets.to(safe.device).double()
        self.common = self.safe.isfinite() & self.risky.isfinite()
        self.r = torch.where(self.common, self.risky - self.safe, 0.0)
        self.log_s = self.safe.logsumexp(-1)
        self.log_r = self.risky.logsumexp(-1)
        within = torch.where(self.common, self.safe, -torch.inf).logsumexp(-1)
        lacks = (self.safe > -torch.inf) & (self.risky == -torch.inf)
        #: F(0+): how far the safe law is from itself on the common tokens.
        self.low = torch.where(lacks.any(-1), self.log_s - within, 0.0)
        self.exceeds = ((self.risky > -torch.inf) & (self.safe == -torch.inf)).any(-1)
        #: Rows that are the safe law.
        self.is_safe = ~(self.budget > 0) | ~(self.low < self.budget)

    def status(self) -> Tensor:
        """The status of every row."""
        found = torch.zeros(len(self.budget), dtype=torch.int8, device=self.safe.device)
        wanted = self.budget > 0
        found[wanted & ~self.common.any(-1)] = Status.DISJOINT
        # Where nothing may be spent the risky law does not matter.
        everywhere = torch.ones_like(wanted)
        for logits, offset, rows in ((self.risky, 1, wanted), (self.safe, 0, everywhere)):
            top = logits.amax(-1)
            found[rows & (top == -torch.inf)] = Status.SAFE_EMPTY + offset
            found[rows & ~(top < torch.inf)] = Status.SAFE_NOT_NUMBERS + offset
        return found

    def blend(self, theta: Tensor) -> Tensor:
        """The logits of the laws at `theta`."""
        return torch.where(self.common, self.safe + theta[:, None] * self.r, -torch.inf)

    def evaluate(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """The cost of the laws at `theta`, and its slope."""
        law = self.blend(theta)
        log_q = law.logsumexp(-1)
        q = (law - log_q[:, None]).exp()
        mean = (q * self.r).sum(-1)
        variance = (q * (self.r - mean[:, None]).square()).sum(-1)
        cost = (theta * mean - (log_q - self.log_s)).clamp(min=0)
        return cost, theta * variance


def anchor_torch(safe: Tensor, risky: Tensor, budgets: Tensor) -> Anchored:
    """The reference."""
    rows = _Rows(safe, risky, budgets)
    status = rows.status()
    one = torch.ones_like(rows.budget)
    high, _ = rows.evaluate(one)
    is_risky = ~rows.is_safe & (high <= rows.budget)
    theta, cost = _project(rows, high, rows.is_safe | is_risky | (status != Status.OK))
    theta = torch.where(
        is_risky, torch.where(rows.exceeds, torch.nextafter(one, 0 * one), 1), theta
    )
    theta = torch.where(rows.is_safe, 0.0, theta)
    cost = torch.where(is_risky, high, cost)
    law = rows.blend(torch.where(is_risky, 1.0, theta))
    law = torch.where((theta == 1)[:, None], rows.risky, law)
    law = torch.where((theta == 0)[:, None], rows.safe, law)
    return Anchored(law, theta, torch.where(theta == 0, 0.0, cost), status)


def _project(rows: _Rows, high: Tensor, done: Tensor) -> tuple[Tensor, Tensor]:
    """theta and cost of the rows that are not done: Newton on sqrt(F - low) between bounds."""
    budget, low = rows.budget, rows.low
    tolerance = TOLERANCE * budget.clamp(max=1)
    goal = (budget - tolerance / 2 - low).clamp(min=0).sqrt()
    below, above = torch.zeros_like(budget), torch.ones_like(budget)
    cost = torch.zeros_like(budget)
    theta = ((budget - low) / (high - low)).sqrt()
    theta = torch.where((theta > 0) & (theta < 1), theta, 0.5)
    for _ in range(_MOST_STEPS):
        if bool(done.all()):
            break
        found, slope = rows.evaluate(theta)
        fits = found <= budget
        below = torch.where(~done & fits, theta, below)
        cost = torch.where(~done & fits, found, cost)
        above = torch.where(~done & ~fits, theta, above)
        done = done | (fits & (budget - found <= tolerance))
        root = (found - low).clamp(min=0).sqrt()
        new = theta - 2 * root * (root - goal) / slope
        new = torch.where((new > below) & (new < above), new, (below + above) / 2)
        done = done | (new <= below) | (new >= above)
        theta = torch.where(done, theta, new)
    return below, cost


def cap_torch(safe: Tensor, risky: Tensor, budgets: Tensor) -> Capped:
    """The reference."""
    rows = _Rows(safe, risky, budgets)
    ceiling = rows.budget[:, None] + rows.safe - rows.log_s[:, None]
    shift = -rows.log_r
    before = torch.full_like(shift, torch.inf)
    status = rows.status()
    done = rows.is_safe | (status != Status.OK)
    for _ in range(10 * _MOST_STEPS):
        scaled = rows.risky + shift[:, None]
        is_free = scaled <= ceiling
        law = torch.minimum(scaled, ceiling)
        total = law.exp().sum(-1)
        free = torch.where(is_free, law.exp(), 0.0).sum(-1)
        count = is_free.sum(-1).double()
        done = done | (count == before) | (free <= 0)
        if bool(done.all()):
            break
        before = count
        shift = torch.where(done, shift, shift + ((1 - (total - free)) / free).log())
    is_risky = is_free.all(-1) & ~rows.is_safe
    is_safe = rows.is_safe | (total < 1 - _SHORT)
    share = torch.where(is_risky, 1.0, (free / total).clamp(max=1))
    law = torch.where(is_risky[:, None], rows.risky, law)
    log_q = torch.where(is_risky, rows.log_r, total.log())
    law = torch.where(is_safe[:, None], rows.safe, law)
    log_q = torch.where(is_safe, rows.log_s, log_q)
    return Capped(
        law, torch.where(is_safe, 0.0, share), torch.stack([log_q, rows.log_s], -1), status
    )


# On a GPU the reference runs: a few launches for a step of the model, all rows at once.
_ANCHOR = {
    Implementation.TORCH: anchor_torch,
    Implementation.NUMBA: _anchor_numba,
    Implementation.TRITON: anchor_torch,
}
_CAP = {
    Implementation.TORCH: cap_torch,
    Implementation.NUMBA: _cap_numba,
    Implementation.TRITON: cap_torch,
}
