"""Power-SMC: samples of p ** alpha over whole texts, by particles in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from guided.controls import Temperature
from guided.controls.protocol import Control
from guided.errors import InputError
from guided.model import Model
from guided.rewards.scorer import Scorer
from guided.rows import Row
from guided.search.effects import Plan
from guided.search.particles import ParticleSystem, Stage, check_particles
from guided.search.population import Particle
from guided.search.problem import Problem
from guided.search.resampling import Resampling
from guided.search.search import Search
from guided.search.selection import Rule, check_rule, select
from guided.search.tempering import Exponents, Sharpening
from guided.search.voting import Answer


@dataclass(frozen=True)
class PowerTarget:
    """p ** alpha, bridged: γ of a prefix is p ** a with the exponent in force at its stage.

    The exponent holds for whole prefixes, so a change of it reweights every particle, those that
    are over too, by its own log p; the last stage catches up with `alpha`.
    """

    exponents: Exponents

    def potentials(self, problem: Problem, particles: Sequence[Particle]) -> Plan[list[float]]:
        """None: the power is all."""
        yield from ()
        return [0.0] * len(particles)

    def assess(
        self, problem: Problem, particles: Sequence[Particle], stage: Stage
    ) -> Plan[list[float]]:
        """a log p of each."""
        yield from ()
        is_last = stage.is_last or stage.end is None
        exponent = self.exponents.alpha if is_last else self.exponents.at((stage.end or 1) - 1)
        return [exponent * particle.log_p for particle in particles]


@dataclass(frozen=True)
class PowerSMC(Search):
    """Draws from the power distribution p(y) ** alpha / Z of whole texts (arXiv 2602.10273).

    Sharpens answers as a whole, which sampling each token at temperature 1 / alpha does not.
    Needs no reward. `p` is the raw model; under a grammar, a truncation or a ban the target is
    p ** alpha restricted to the texts that these allow. Texts that `max_new_tokens` cuts count as
    they are. Controls that only tilt the law change the proposal, not the target.

    Args:
        n: particles.
        alpha: the power; 1 is plain sampling.
        block: tokens between tests of the effective sample size.
        ramp: tokens over which the exponent rises from 1 to `alpha`; 0: no bridge.
        stages: of that rise; None: one for every token.
        proposal: "ramp": q ∝ p ** a_t, which leaves the choice of tokens no variance; "final":
            q ∝ p ** alpha from the start. A `temperature=` given to `run` replaces both.
        kappa: resample where the effective sample size falls below `kappa` n.
        resampling: "systematic", "multinomial", "stratified" or "residual".
        select: which particle is returned; by default a draw by weight, which is a sample of the
            target as n grows.
        answer: the answer that a text gives, for majorities; see `Majority`.

    Raises:
        InputError: a number out of its range, an unknown name.
    """

    n: int = 64
    alpha: float = 4.0
    block: int = 64
    ramp: int = 0
    stages: int | None = None
    proposal: Literal["ramp", "final"] = "ramp"
    kappa: float = 0.5
    resampling: Resampling = "systematic"
    select: Rule = "sample"
    answer: Answer | None = None

    needs_reward: ClassVar[bool] = False
    finishes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_particles(self.n, self.block, self.resampling, self.kappa)
        check_rule(self.select)
        if self.proposal not in ("ramp", "final"):
            raise InputError(f'proposal={self.proposal!r} is unknown; give "ramp" or "final"')
        Exponents(self.alpha, self.ramp, self.stages)

    @property
    def default_temperature(self) -> float:  # type: ignore[override]
        """That of the final proposal."""
        return 1 / self.alpha

    def check(self, model: Model, scorer: Scorer | None) -> None:
        super().check(model, scorer)
        if self.select == "reward" and scorer is None:
            raise InputError('select="reward" needs a reward; pass reward=')

    def controls(self, row: Row) -> Sequence[Control]:
        exponents = Exponents(self.alpha, self.ramp, self.stages)
        if self.proposal == "final" or exponents.is_constant:
            return row.controls
        ours = Temperature(1 / self.alpha)
        return [Sharpening(exponents) if c == ours else c for c in row.controls]

    def plan(self, problem: Problem) -> Plan[None]:
        system = ParticleSystem(
            n=self.n,
            target=PowerTarget(Exponents(self.alpha, self.ramp, self.stages)),
            block=self.block,
            resampling=self.resampling,
            kappa=self.kappa,
            by_reward=self.select == "reward",
        )
        population = yield from system.run(problem)
        problem.log_z = population.log_z
        yield from select(problem, population, self.select, self.answer)
