"""Particle filtering over steps, by the odds of their rewards; with sweeps, particle Gibbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from guided.errors import InputError
from guided.search.effects import Plan
from guided.search.particles import ParticleSystem, check_particles
from guided.search.population import Particle, Population
from guided.search.potential import Form, Potential
from guided.search.problem import Problem
from guided.search.resampling import Resampling
from guided.search.reward_smc import RewardTarget
from guided.search.search import Search
from guided.search.selection import Rule, check_rule, drawn, select
from guided.search.voting import Answer


@dataclass(frozen=True)
class ParticleFilter(Search):
    """Grows particles step by step and resamples them after every step (arXiv 2502.01618).

    A particle's chance to be copied is proportional to the odds r / (1 - r) of its latest reward,
    so the target multiplies the law drawn from (at the temperature given to `run`, masked where a
    grammar is) by the odds of all steps.

    Args:
        n: particles.
        form: what a reward r counts: "odds", as published; "power", r itself; "exp".
        strength: the exponent of that; 1 over the temperature of the resampling softmax.
        resample_inactive: complete particles take part in resampling, and their last reward counts
            again at every step, as in the published runs. False: they are set aside and keep
            their weight, which is exact; `log_z` is given only then.
        sweeps: runs; each after the first retains a trajectory of the one before, drawn by weight
            (particle Gibbs). The particles of all sweeps are candidates.
        block: tokens of a step; None: steps of the search's segmenter.
        resampling: "multinomial", "stratified", "systematic" or "residual"; sweeps need the first.
        select: which particle is returned.
        answer: the answer that a text gives, for majorities; see `Majority`.

    Raises:
        InputError: a number out of its range, an unknown name, settings that contradict.
    """

    n: int = 16
    form: Form = "odds"
    strength: float = 1.0
    resample_inactive: bool = True
    sweeps: int = 1
    block: int | None = None
    resampling: Resampling = "multinomial"
    select: Rule = "reward"
    answer: Answer | None = None

    finishes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_particles(self.n, self.block, self.resampling)
        check_rule(self.select)
        Potential(self.form, self.strength)
        if self.sweeps < 1:
            raise InputError(f"sweeps must be at least 1, not {self.sweeps}")
        if self.sweeps > 1 and (self.resampling != "multinomial" or self.n < 2):
            raise InputError('sweeps need resampling="multinomial" and at least 2 particles')

    def plan(self, problem: Problem) -> Plan[None]:
        potential = Potential(self.form, self.strength, telescoping=False)
        system = ParticleSystem(
            n=self.n,
            target=RewardTarget("drawn", 1.0, potential),
            block=self.block,
            resampling=self.resampling,
            always=True,
            sets_aside=not self.resample_inactive,
            counts_over=self.resample_inactive,
            by_reward=self.select == "reward",
        )
        runs: list[Population] = []
        reference: Particle | None = None
        for sweep in range(self.sweeps):
            runs.append((yield from system.run(problem, sweep, reference)))
            weights = runs[-1].weights.tolist()
            reference = runs[-1].particles[drawn(problem, weights, sweep + 1)]
        if not self.resample_inactive:
            problem.log_z = runs[0].log_z
        merged = together(runs)
        merged.offer(problem, system.by_reward)
        # A draw is to be the last state of the chain of sweeps.
        shown = runs[-1] if self.select == "sample" else merged
        yield from select(problem, shown, self.select, self.answer)


def together(runs: Sequence[Population]) -> Population:
    """The particles of all sweeps, each sweep with the same total weight."""
    with np.errstate(divide="ignore"):
        logs = np.concatenate([np.log(run.weights) for run in runs])
    return Population([particle for run in runs for particle in run.particles], logs)
