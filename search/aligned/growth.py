"""How aligned particles grow: by what tokens, and with what weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch

from guided.controls.measured_mask import REJECTED, measured_state
from guided.controls.pipeline import States
from guided.decoding import Branch
from guided.decoding.draws import check_row
from guided.errors import LogitsError
from guided.kernels.masked_sampling import log_totals
from guided.search.aligned.single_checks import TokenChecks
from guided.search.aligned.token_draws import TokenSampler
from guided.search.aligned.urns import LogitUrn, Numbers
from guided.search.effects import Plan, Until, grow_branches
from guided.search.problem import Problem
from guided.search.resampling import Floats
from guided.search.tokenwise import read


@dataclass(slots=True)
class Tally:
    """What has been counted.

    Attributes:
        tokens: drawn; `checks`: that the grammar was asked about, one by one.
        masks: how often it was asked for a whole mask.
    """

    tokens: int = 0
    checks: int = 0
    masks: int = 0


class Growth(Protocol):
    """Grows branches by a block, and counts."""

    tally: Tally

    def grow(self, problem: Problem, branches: Sequence[Branch], until: Until) -> Plan[list[float]]:
        """The logarithm of each branch's weight; -inf where it has ended outside of the grammar."""
        ...


class Law(NamedTuple):
    """What may follow a branch.

    Attributes:
        logits: of the law P that is aligned to, `[V]` in float64, not normalised.
        log_total: of the sum of exponentials of the model's raw logits.
        raw: those logits, on the host.
        states: of the controls, which have seen the law.
    """

    logits: Floats
    log_total: float
    raw: torch.Tensor
    states: States


@dataclass(eq=False)
class CheckedGrowth:
    """By AWRS: tokens are drawn and checked one by one."""

    sampler: TokenSampler
    tally: Tally = field(default_factory=Tally)

    def grow(self, problem: Problem, branches: Sequence[Branch], until: Until) -> Plan[list[float]]:
        weights = {id(branch): 0.0 for branch in branches}
        growing = list(branches)
        while growing:
            yield from read([branch for branch in growing if branch.logits is None])
            try:
                logs = self._step(problem, growing)
            except KeyboardInterrupt:
                yield from _interrupted(growing)
                raise
            for branch, log_weight in zip(growing, logs, strict=True):
                weights[id(branch)] += log_weight
            growing = [b for b in growing if b.finish_reason is None and not until(b)]
        return list(weights.values())

    def _step(self, problem: Problem, branches: Sequence[Branch]) -> list[float]:
        """Draws a token for each; the logarithms of the weights."""
        taken: list[Branch] = []
        tokens: list[int] = []
        log_q: list[float] = []
        seen: list[tuple[float, States]] = []
        weights: list[float] = []
        for branch, law in zip(branches, laws(branches), strict=True):
            token, log_p, log_weight = self._draw(branch, law)
            weights.append(log_weight)
            if log_weight > -torch.inf:
                taken.append(branch)
                tokens.append(token)
                log_q.append(log_p - log_weight)
                seen.append((float(law.raw[token]) - law.log_total, law.states))
            else:
                branch.finish(REJECTED)
        if taken:
            problem.decoder.append(taken, tokens, log_q, seen)
        problem.ledger.tokens += len(taken)
        return weights

    def _draw(self, branch: Branch, law: Law) -> tuple[int, float, float]:
        """A token, its log-probability under P, and the logarithm of its weight."""
        urn = LogitUrn(law.logits, Numbers(branch.stream))
        if not urn.total > 0:
            check_row(branch, law.log_total, float(law.logits.max()))
            raise LogitsError(f"a control gave +inf as a logit at position {len(branch.tokens)}")
        checks = TokenChecks(measured_state(branch.pipeline.controls, law.states))
        token, log_weight = self.sampler.draw(urn, checks)
        self.tally.checks += checks.count
        self.tally.masks += checks.masks
        self.tally.tokens += 1
        return token, float(law.logits[token]) - urn.log_total, log_weight


def _interrupted(branches: Sequence[Branch]) -> Plan[None]:
    """Ends branches as an interrupted pass does, and lets the search see it."""
    for branch in branches:
        if branch.finish_reason is None:
            branch.finish("interrupt")
    yield from grow_branches(branches)


def laws(branches: Sequence[Branch]) -> list[Law]:
    """What may follow each of some branches of one prompt; looked at once for those at one place.

    Raises:
        LogitsError: the model's logits are not numbers.
    """
    places = [(id(branch.logits), id(branch.states)) for branch in branches]
    first = {place: branches[places.index(place)] for place in dict.fromkeys(places)}
    each = list(first.values())
    every = [branch.logits or [] for branch in each]
    pipeline = each[0].pipeline
    raw = torch.stack([logits[0] for logits in every])
    aux = {
        name: torch.stack([logits[i] for logits in every]).double()
        for i, name in enumerate(pipeline.models, 1)
    }
    totals = log_totals(raw).tolist()
    # A copy, as controls edit in place.
    edited, states = pipeline.apply(
        raw.to(torch.float64, copy=True), [branch.states for branch in each], aux
    )
    # One transfer for all.
    rows, on_host = edited.cpu().numpy(), raw.cpu()
    found = {
        place: Law(row, total, logits, state)
        for place, row, total, logits, state in zip(
            first, rows, totals, on_host, states, strict=True
        )
    }
    return [found[place] for place in places]


@dataclass(eq=False)
class MaskedGrowth:
    """By the masked law: the weight of a token is the mass of all that the mask allows."""

    tally: Tally = field(default_factory=Tally)

    def grow(self, problem: Problem, branches: Sequence[Branch], until: Until) -> Plan[list[float]]:
        starts = [len(branch.tokens) for branch in branches]
        yield from grow_branches(branches, until)
        weights = []
        for branch, start in zip(branches, starts, strict=True):
            path = measured_state(branch.pipeline.controls, branch.states).path()
            new = path[start : len(branch.tokens)]
            self.tally.tokens += len(new)
            self.tally.masks += len(new)
            weights.append(sum(node.measure.log_mass for node in new if node.measure is not None))
        return weights
