"""Lookahead: estimates of what the rest of a text will multiply the target by.

L of a prefix is the sum over its completions of the base's and the potentials' factors to come.
A particle keeps its estimate until its next block, so estimates cancel from one block to the next
and any positive number leaves the sampler exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from guided.controls import Temperature
from guided.controls.pipeline import Pipeline
from guided.decoding import Branch
from guided.errors import InputError
from guided.model import Prompt
from guided.rewards.protocol import Continuation
from guided.search.effects import Plan, Until, grow_branches, weigh
from guided.search.population import Particle
from guided.search.potential import Potential
from guided.search.problem import Problem
from guided.search.resampling import log_mean

#: log L of a prefix.
Value = Callable[[Prompt, Continuation], float]
#: The logarithm of the base's factor over the tokens of a branch, over their log q.
LogRatio = Callable[[Branch], float]
#: The condition that ends a block of some branches.
Blocks = Callable[[Problem, Sequence[Branch]], Until]


class Lookahead(Protocol):
    """Estimates log L."""

    def estimate(self, problem: Problem, particles: Sequence[Particle]) -> Plan[list[float]]:
        """log L of each; none is over, all have been scored where a reward is needed."""
        ...


@dataclass(frozen=True)
class KnownValue:
    """log L by a function of prompt and continuation."""

    function: Value

    def estimate(self, problem: Problem, particles: Sequence[Particle]) -> Plan[list[float]]:
        yield from ()
        values = [
            float(self.function(problem.prompt, problem.continuation(p.node))) for p in particles
        ]
        for value in values:
            if not math.isfinite(value):
                raise InputError(f"lookahead gave {value}; log L must be a finite number")
        return values


@dataclass(frozen=True)
class Rollouts:
    """The mean over completions that are drawn and thrown away.

    Attributes:
        count: completions of each prefix.
        temperature: of their drawing; None: the law of the particles.
        log_ratio: weighs them by base over law, so that the mean is right on average; None where
            the law is the base, or where they are drawn at a temperature of their own.
        blocks: where blocks end; only potentials that count at every block ask.
    """

    count: int
    potential: Potential
    blocks: Blocks
    temperature: float | None = None
    log_ratio: LogRatio | None = None

    def estimate(self, problem: Problem, particles: Sequence[Particle]) -> Plan[list[float]]:
        branches = [
            branch
            for particle in particles
            for branch in problem.fork_branches(particle.node.branch, self.count)
        ]
        if self.temperature is not None:
            for branch in branches:
                _redraw(branch, self.temperature)
        before = [0.0 if self.log_ratio is None else self.log_ratio(b) for b in branches]
        if self.potential.telescoping:
            yield from grow_branches(branches)
            scores = yield from weigh(branches)
            logs = [self.potential.log_value(score.value) for score in scores]
        else:
            logs = yield from self._by_block(problem, branches)
        if self.log_ratio is not None:
            pairs = zip(branches, before, strict=True)
            ratios = [self.log_ratio(branch) - was for branch, was in pairs]
            logs = [log + ratio for log, ratio in zip(logs, ratios, strict=True)]
        problem.close(branches)
        chunks = [logs[at : at + self.count] for at in range(0, len(logs), self.count)]
        means = [log_mean(chunk) for chunk in chunks]
        if not self.potential.telescoping:
            return means
        return [
            mean - (self.potential.log_value(p.node.score.value) if p.node.score else 0.0)
            for mean, p in zip(means, particles, strict=True)
        ]

    def _by_block(self, problem: Problem, branches: Sequence[Branch]) -> Plan[list[float]]:
        """The sum of log potentials over the blocks of each rollout."""
        totals = [0.0] * len(branches)
        live = list(range(len(branches)))
        while live:
            some = [branches[i] for i in live]
            yield from grow_branches(some, self.blocks(problem, some))
            scores = yield from weigh(some)
            for i, score in zip(live, scores, strict=True):
                totals[i] += self.potential.log_value(score.value)
            live = [i for i in live if branches[i].finish_reason is None]
        return totals


def _redraw(branch: Branch, temperature: float) -> None:
    """Makes a branch draw at another temperature from here on."""
    pairs = zip(branch.pipeline.controls, branch.states, strict=True)
    kept = [(control, state) for control, state in pairs if not isinstance(control, Temperature)]
    pipeline = Pipeline([Temperature(temperature), *(control for control, _ in kept)])
    states = {id(control): state for control, state in kept}
    branch.pipeline = pipeline
    branch.states = tuple(states.get(id(control)) for control in pipeline.controls)
