"""Particles whose growth weighs them, and a reward that only guides until a text has ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from guided.certificates import ParticleCertificate
from guided.search.aligned.growth import Growth
from guided.search.effects import Plan, weigh
from guided.search.particles import ParticleSystem, Stage
from guided.search.population import Particle, Population
from guided.search.potential import Potential
from guided.search.problem import Problem
from guided.search.resampling import ess


@dataclass(frozen=True)
class AlignedTarget:
    """γ of a prefix: what its tokens were drawn from, times their weights, times the reward's ψ.

    ψ is that of the text so far, not a product over its beginnings: what it says of a prefix is
    taken back as the prefix grows, and only that of the whole text remains.

    Args:
        potential: ψ; None: there is no reward.
        twist: whether ψ of prefixes guides resampling; else ψ counts once texts have ended.
    """

    potential: Potential | None = None
    twist: bool = True

    def potentials(self, problem: Problem, particles: Sequence[Particle]) -> Plan[list[float]]:
        """None besides the weights that particles have grown with."""
        yield from ()
        return [0.0] * len(particles)

    def assess(
        self, problem: Problem, particles: Sequence[Particle], stage: Stage
    ) -> Plan[list[float]]:
        """log γ of each; -inf for those that have left the grammar."""
        logs = [particle.log_q + particle.log_potential for particle in particles]
        if self.potential is None:
            return logs
        asked = [
            particle.node
            for particle, log in zip(particles, logs, strict=True)
            if log > -math.inf and (self.twist or particle.is_over)
        ]
        unknown = [node for node in asked if node.score is None]
        if unknown:
            yield from weigh(unknown)
        values = {id(n): self.potential.log_value(n.score.value) for n in asked if n.score}
        return [
            log + values.get(id(particle.node), 0.0)
            for log, particle in zip(logs, particles, strict=True)
        ]


@dataclass
class Resamplings:
    """How often particles were resampled."""

    count: int = 0


@dataclass(frozen=True, kw_only=True)
class WeightedParticles(ParticleSystem):
    """A particle system that grows by `growth`, whose weights are potentials.

    Where the budget ends first, partial texts are returned as they are: finished otherwise than by
    drawing they would be no draws.
    """

    growth: Growth
    resamplings: Resamplings = field(default_factory=Resamplings)

    def run(
        self, problem: Problem, sweep: int = 0, reference: Particle | None = None
    ) -> Plan[Population]:
        population = self._begun(problem, sweep, reference)
        yield from self._run(problem, population, sweep, reference)
        return population

    def grow(self, problem: Problem, particles: Sequence[Particle]) -> Plan[list[Particle]]:
        after = list(particles)
        live = [i for i, particle in enumerate(after) if not particle.is_over]
        growing = [after[i] for i in live]
        logs = yield from self.growth.grow(
            problem, [each.node.branch for each in growing], self._until(problem, growing)
        )
        for i, log in zip(live, logs, strict=True):
            grown = after[i].grown()
            after[i] = replace(grown, log_potential=grown.log_potential + log)
        return after

    def _resampled(
        self, problem: Problem, population: Population, stage: Stage
    ) -> list[Particle] | None:
        slots = super()._resampled(problem, population, stage)
        self.resamplings.count += slots is not None
        return slots

    def certificate(self, population: Population, is_proper: bool) -> ParticleCertificate:
        """What the particles know at the end of a run."""
        alive = population.log_weights > -np.inf
        ancestors = [particle.node.path()[1].id for particle in population.particles]
        count, tally = self.resamplings.count, self.growth.tally
        knows_error = is_proper and (count == 0 or self.resampling == "multinomial")
        return ParticleCertificate(
            particles=self.n,
            dead=int((~alive).sum()),
            ess=ess(population.log_weights) if alive.any() else 0.0,
            families=len({ancestors[i] for i in np.flatnonzero(alive)}),
            resamplings=count,
            log_z=population.log_z if is_proper else None,
            z_error=relative_error(population, ancestors, count) if knows_error else None,
            tokens=tally.tokens,
            checks=tally.checks,
            masks=tally.masks,
        )


def relative_error(
    population: Population, ancestors: Sequence[int], resamplings: int
) -> float | None:
    """The standard error of the estimate of Z over the estimate; None where nothing says it.

    With W the normalised weights, E the first ancestors, and n resamplings, its square is

        1 - (N / (N - 1)) ** (n + 1) Σ_{E_i != E_j} W_i W_j,

    which without resampling is the usual one of a mean (Lee and Whiteley, Variance estimation in
    the particle filter, Biometrika 2018, equation 3).

    Args:
        ancestors: the first ancestor of every particle.
    """
    count = len(ancestors)
    if count < 2 or not (population.log_weights > -np.inf).any():
        return None
    families: dict[int, float] = {}
    for ancestor, weight in zip(ancestors, population.weights.tolist(), strict=True):
        families[ancestor] = families.get(ancestor, 0.0) + weight
    apart = 1 - sum(weight**2 for weight in families.values())
    return math.sqrt(max(0.0, 1 - (count / (count - 1)) ** (resamplings + 1) * apart))
