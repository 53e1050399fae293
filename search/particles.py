"""Weighted particles: the one core of sequential Monte Carlo, Power-SMC and particle filtering.

A *target* says what is wanted: for every prefix at the end of a block the logarithm of an
intermediate target γ. The core says how: particles grow by a block, their log-weights change by

    log γ(new) - log γ(old) - log q(block)

and where the weights have become uneven, particles are resampled and the mean weight is banked
in log Z. Proposal, potential, powers and lookahead all live in γ and q.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from guided.decoding.rng import Purpose
from guided.errors import InputError
from guided.search.budget import BudgetReached
from guided.search.effects import Plan, Until, grow
from guided.search.finishing import finished
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.resampling import (
    Floats,
    Resampling,
    check_resampling,
    ess,
    log_mean,
    normalised,
    resample,
)

#: Rounding alone does not make weights uneven.
_EVEN = 1 - 1e-9
#: Facts are finite, so that JSON can hold them; the exponential of this is zero.
_LEAST = -1e4


@dataclass(frozen=True, slots=True, eq=False)
class Particle:
    """A prefix at the end of a block, and all that is known about it.

    Values are persistent: resampling copies references, and a rejected move leaves no trace.

    Attributes:
        before: what it was one block ago; None before the first block.
        blocks: how many it has grown by.
        log_p: of the raw model; `log_q`: of the laws drawn from.
        log_potential: the sum of the logarithms of its potentials.
        log_target: the intermediate target γ that its weight is relative to.
        is_reference: the retained trajectory of a particle Gibbs sweep.
    """

    node: Node
    before: Particle | None = None
    blocks: int = 0
    log_p: float = 0.0
    log_q: float = 0.0
    log_potential: float = 0.0
    log_target: float = 0.0
    is_reference: bool = False

    @property
    def log_ratio(self) -> float:
        """log γ - log q: differences of it are increments of weights and acceptances of moves."""
        return self.log_target - self.log_q

    @property
    def is_over(self) -> bool:
        """Whether it cannot grow."""
        return self.node.is_over

    def at(self, blocks: int) -> Particle:
        """What it was after so many blocks; itself where it has no more than that."""
        particle = self
        while particle.blocks > blocks and particle.before is not None:
            particle = particle.before
        return particle

    def going_on(self, node: Node) -> Particle:
        """What is to grow next, in `node`, a fresh child of the particle's own."""
        return replace(self, node=node, before=self, is_reference=False)

    def grown(self) -> Particle:
        """The same after its node's branch has grown by a block."""
        branch, start = self.node.branch, self.node.start
        return replace(
            self,
            blocks=self.blocks + 1,
            log_p=self.log_p + sum(branch.log_p[start:]),
            log_q=self.log_q + sum(branch.log_q[start:]),
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a run is: after `number` blocks, at the last of which a sequence has `end` tokens.

    `end` is None where blocks are steps; `is_last`: all particles are over.
    """

    number: int
    end: int | None = None
    is_last: bool = False
    sweep: int = 0


class Target(Protocol):
    """What is to be sampled, as a sequence of intermediate targets."""

    def potentials(self, problem: Problem, particles: Sequence[Particle]) -> Plan[list[float]]:
        """The logarithm of the potential at the end of the block that each has just grown."""
        ...

    def assess(
        self, problem: Problem, particles: Sequence[Particle], stage: Stage
    ) -> Plan[list[float]]:
        """The logarithm of the intermediate target of each, potentials so far included.

        At the last stage, and for a particle that is over, no lookahead.
        """
        ...


class Moves(Protocol):
    """What rejuvenates particles after resampling."""

    def run(
        self, system: ParticleSystem, problem: Problem, slots: Sequence[Particle], stage: Stage
    ) -> Plan[list[Particle]]:
        """The particles after the moves, each in its slot."""
        ...


@dataclass(eq=False)
class Population:
    """The particles of a run, with their log-weights since the last resampling.

    Attributes:
        banked: the logarithm of the product of the mean weights that resampling has reset.
    """

    particles: list[Particle]
    log_weights: Floats
    banked: float = 0.0
    _offered: list[Node] = field(default_factory=list)

    @property
    def nodes(self) -> list[Node]:
        """The particles' nodes."""
        return [particle.node for particle in self.particles]

    @property
    def weights(self) -> Floats:
        """The normalised weights `[n]`."""
        return normalised(self.log_weights)

    @property
    def log_z(self) -> float:
        """The logarithm of the estimate of the normalising constant so far."""
        return self.banked + log_mean(self.log_weights)

    def reweigh(self, after: Sequence[Particle]) -> None:
        """Takes the particles as they are now; weights change by what has changed about them."""
        self.log_weights = self.log_weights + [
            _change(new, old) for new, old in zip(after, self.particles, strict=True)
        ]
        self.particles = list(after)

    def offer(self, problem: Problem, by_reward: bool) -> None:
        """Says that these particles, and none of this run's earlier ones, may be the result."""
        for node in self._offered:
            problem.offers.pop(node, None)
        # A node may stand in several slots: a retained trajectory does.
        totals: dict[Node, float] = {}
        for node, weight in zip(self.nodes, self.weights.tolist(), strict=True):
            totals[node] = totals.get(node, 0.0) + weight
        totals.pop(problem.root, None)
        self._offered = list(totals)
        for node, weight in totals.items():
            fact = math.log(weight) if weight > 0 else _LEAST
            node.facts["log_weight"] = fact
            problem.offer(node, _reward(node) if by_reward else fact)


@dataclass(frozen=True, kw_only=True)
class ParticleSystem:
    """How particles are run.

    Args:
        n: particles.
        target: what is sampled.
        block: tokens of a block; None: blocks are the steps of the search's segmenter.
        resampling: the scheme.
        kappa: resample where the effective sample size falls below `kappa` n.
        always: resample after every block but the last, however even the weights are.
        moves: after every resampling.
        sets_aside: particles that are over take no part in resampling and keep their weights.
        counts_over: the potential of a particle that is over counts again at every block.
        by_reward: whether the best so far is that of the highest reward, not weight.
    """

    n: int
    target: Target
    block: int | None = None
    resampling: Resampling = "systematic"
    kappa: float = 0.5
    always: bool = False
    moves: Moves | None = None
    sets_aside: bool = False
    counts_over: bool = False
    by_reward: bool = False

    def run(
        self, problem: Problem, sweep: int = 0, reference: Particle | None = None
    ) -> Plan[Population]:
        """The particles when all of them have ended.

        Where the budget ends first and nothing is complete, the best of them is finished.

        Args:
            sweep: numbers runs on one prompt, so that their random numbers differ.
            reference: a trajectory that is retained as the first particle (conditional SMC:
                Andrieu, Doucet and Holenstein 2010). The others are resampled by the multinomial
                scheme then, for which this is exact.
        """
        try:
            return (yield from self._run(problem, sweep, reference))
        except BudgetReached as reached:
            yield from finished(problem, problem.best, reached.what)
            raise

    def _run(self, problem: Problem, sweep: int, reference: Particle | None) -> Plan[Population]:
        root, number = Particle(problem.root), 0
        retained = [] if reference is None else [replace(root, is_reference=True)]
        nodes = problem.fork(problem.root, self.n - len(retained), keep_stream=sweep == 0)
        ready = retained + [root.going_on(node) for node in nodes]
        population = Population(ready, np.zeros(self.n))
        while True:
            number += 1
            population.offer(problem, self.by_reward)
            after = yield from self.grow(problem, population.particles)
            if reference is not None:
                after[0] = replace(reference.at(number), is_reference=True)
            is_last = all(particle.is_over for particle in after)
            end = None if self.block is None else number * self.block
            stage = Stage(number, end, is_last, sweep)
            population.reweigh((yield from self.assess(problem, after, stage)))
            population.offer(problem, self.by_reward)
            even, log_z = ess(population.log_weights), population.log_z
            nodes = population.nodes
            slots = None if is_last else self._resampled(problem, population, stage)
            ids = [] if slots is None else [slot.node.id for slot in slots]
            yield from problem.round(
                nodes, ess=even, log_z=max(log_z, _LEAST), resampled=ids, sweep=sweep
            )
            if is_last:
                return population
            if slots is not None and self.moves is not None:
                slots = yield from self.moves.run(self, problem, slots, stage)
            population.particles = _children(problem, slots or population.particles)

    def grow(self, problem: Problem, particles: Sequence[Particle]) -> Plan[list[Particle]]:
        """Particles after another block; those that are over stay as they are."""
        after = list(particles)
        live = [i for i, p in enumerate(after) if not (p.is_over or p.is_reference)]
        if live:
            yield from grow(
                [after[i].node for i in live], self._until(problem, [after[i] for i in live])
            )
        for i in live:
            after[i] = after[i].grown()
        if self.counts_over:
            over = [i for i, p in enumerate(after) if i not in live and not p.is_reference]
            for i in over:
                after[i] = replace(after[i], before=after[i], blocks=after[i].blocks + 1)
            live += over
        logs = yield from self.target.potentials(problem, [after[i] for i in live])
        for i, log in zip(live, logs, strict=True):
            after[i] = replace(after[i], log_potential=after[i].log_potential + log)
        return after

    def assess(
        self, problem: Problem, particles: Sequence[Particle], stage: Stage
    ) -> Plan[list[Particle]]:
        """Particles with their intermediate targets."""
        logs = yield from self.target.assess(problem, particles, stage)
        return [replace(p, log_target=log) for p, log in zip(particles, logs, strict=True)]

    def _until(self, problem: Problem, live: Sequence[Particle]) -> Until:
        branches = [particle.node.branch for particle in live]
        if self.block is None:
            return problem.until(branches)
        ends = {
            id(branch): (particle.blocks + 1) * self.block
            for branch, particle in zip(branches, live, strict=True)
        }
        return lambda branch: len(branch.tokens) >= ends[id(branch)]

    def _resampled(
        self, problem: Problem, population: Population, stage: Stage
    ) -> list[Particle] | None:
        """The ancestor in every slot, weights reset and banked; None: the weights are even."""
        slots = list(population.particles)
        among = [i for i, p in enumerate(slots) if not (self.sets_aside and p.is_over)]
        logs = population.log_weights[among]
        if not self.always and ess(logs) >= self.kappa * len(among) * _EVEN:
            return None

        def uniform(i: int) -> float:
            return problem.uniform(Purpose.RESAMPLE, stage.sweep, stage.number, i)

        weights = normalised(logs)
        if slots[0].is_reference:
            chosen = [0, *resample("multinomial", weights, len(among) - 1, uniform)]
        else:
            chosen = resample(self.resampling, weights, len(among), uniform)
        for i, ancestor in zip(among, chosen, strict=True):
            slots[i] = population.particles[among[ancestor]]
        # Where some are set aside the others' mean weight stays with them: nothing is lost.
        population.log_weights[among] = log_mean(logs) if self.sets_aside else 0.0
        population.banked += 0.0 if self.sets_aside else log_mean(logs)
        return slots


def _children(problem: Problem, slots: Sequence[Particle]) -> list[Particle]:
    """For every slot what grows next: a fresh child of the particle's node, and of it alone.

    The first copy goes on with its ancestor's random stream; those of a retained trajectory, whose
    stream would only repeat it, all get new ones. Particles that are over remain.
    """
    copies: dict[int, list[int]] = {}
    for index, slot in enumerate(slots):
        if not (index == 0 and slot.is_reference):
            copies.setdefault(id(slot), []).append(index)
    ready = list(slots)
    for indices in copies.values():
        parent = slots[indices[0]]
        if parent.is_over:
            if not parent.is_reference:
                indices = indices[1:]
            for index, node in zip(indices, problem.fork(parent.node, len(indices)), strict=True):
                node.score = parent.node.score
                ready[index] = replace(parent, node=node, is_reference=False)
        else:
            keep = not parent.is_reference
            nodes = problem.hand_over(parent.node, len(indices), keep_stream=keep)
            for index, node in zip(indices, nodes, strict=True):
                ready[index] = parent.going_on(node)
    return ready


def _change(new: Particle, old: Particle) -> float:
    """By what a log-weight changes; weight that was lost does not come back."""
    return 0.0 if old.log_ratio == -math.inf else new.log_ratio - old.log_ratio


def _reward(node: Node) -> float:
    """The reward of a node, or of the parent that it goes on from; -inf: not known."""
    known = node.score or (node.parent and node.parent.score)
    return known.value if known else -math.inf


def check_particles(
    n: int, block: int | None, resampling: Resampling = "systematic", kappa: float = 0.5
) -> None:
    """Refuses settings that cannot work.

    Raises:
        InputError: a number out of its range, an unknown scheme.
    """
    if n < 1:
        raise InputError(f"n must be at least 1 particle, not {n}")
    if block is not None and block < 1:
        raise InputError(f"block must be at least 1 token, not {block}")
    if not 0 <= kappa <= 1:
        raise InputError(f"kappa must be a share of n in [0, 1], not {kappa}")
    check_resampling(resampling)
