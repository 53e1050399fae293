"""Weighted particles: the one core of sequential Monte Carlo, Power-SMC and particle filtering.

A *target* says what is wanted: for every prefix at the end of a block the logarithm of an
intermediate target γ. The core says how: particles grow by a block, their log-weights change by

    log γ(new) - log γ(old) - log q(block)

and where the weights have become uneven, particles are resampled and the mean weight is banked
in log Z. Proposal, potential, powers and lookahead all live in γ and q.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from guided.decoding.rng import Purpose
from guided.errors import InputError
from guided.search.budget import BudgetReached
from guided.search.effects import Plan, Until, grow, weigh
from guided.search.finishing import finished
from guided.search.node import Node
from guided.search.population import LEAST, Particle, Population
from guided.search.problem import Problem
from guided.search.resampling import (
    Resampling,
    check_resampling,
    ess,
    log_mean,
    normalised,
    resample,
)

#: Rounding alone does not make weights uneven.
_EVEN = 1 - 1e-9
#: What a search was stopped by where it may still ask for rewards.
_MAY_WEIGH = ("tokens", "rounds", "seconds")


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
        waits: while all particles say the same, rewards tell nothing apart, and are asked for
            together with the next ones. Only for targets whose rewards on the way cancel.
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
    waits: bool = False

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
        population = self._begun(problem, sweep, reference)
        try:
            yield from self._run(problem, population, sweep, reference)
        except BudgetReached as reached:
            if population.waiting and reached.what in _MAY_WEIGH:
                yield from weigh(population.waiting)
            yield from finished(problem, problem.best, reached.what)
            raise
        return population

    def _begun(self, problem: Problem, sweep: int, reference: Particle | None) -> Population:
        """All particles at the prompt."""
        root = Particle(problem.root)
        retained = [] if reference is None else [replace(root, is_reference=True)]
        nodes = problem.fork(problem.root, self.n - len(retained), keep_stream=sweep == 0)
        ready = retained + [root.going_on(node) for node in nodes]
        return Population(ready, np.zeros(self.n))

    def _run(
        self, problem: Problem, population: Population, sweep: int, reference: Particle | None
    ) -> Plan[None]:
        number = 0
        while True:
            number += 1
            population.offer(problem, self.by_reward)
            after = yield from self.grow(problem, population.particles)
            if reference is not None:
                after[0] = replace(reference.at(number), is_reference=True)
            is_last = all(particle.is_over for particle in after)
            end = None if self.block is None else number * self.block
            stage = Stage(number, end, is_last, sweep)
            population.reweigh((yield from self._assessed(problem, population, after, stage)))
            population.offer(problem, self.by_reward)
            even, log_z = ess(population.log_weights), population.log_z
            nodes = population.nodes
            slots = None if is_last else self._resampled(problem, population, stage)
            ids = [] if slots is None else [slot.node.id for slot in slots]
            yield from problem.round(
                nodes, ess=even, log_z=max(log_z, LEAST), resampled=ids, sweep=sweep
            )
            if is_last:
                return
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

    def _assessed(
        self, problem: Problem, population: Population, after: Sequence[Particle], stage: Stage
    ) -> Plan[list[Particle]]:
        """Particles with their intermediate targets; such that leave the weights, while they wait.

        Nothing is put off where the budget counts rewards.
        """
        waiting, nodes = population.waiting, [particle.node for particle in after]
        counted = problem.ledger.budget.reward_passes is not None
        if self.waits and not (stage.is_last or counted) and _are_alike(nodes):
            waiting += nodes
            return [
                replace(new, log_target=old.log_target + new.log_q - old.log_q)
                for new, old in zip(after, population.particles, strict=True)
            ]
        if waiting:
            # One call; the target then finds them known.
            yield from weigh([*waiting, *nodes])
            waiting.clear()
        return (yield from self.assess(problem, after, stage))

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


def _are_alike(nodes: Sequence[Node]) -> bool:
    """Whether all say the same, and can go on."""
    tokens = nodes[0].branch.tokens
    return not any(node.is_over or node.branch.tokens != tokens for node in nodes)


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
