"""Sequential Monte Carlo guided by a reward: samples of the model's law times potentials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from guided.controls.protocol import Control
from guided.decoding import Branch
from guided.errors import InputError
from guided.rows import Row
from guided.search.effects import Plan, Until, weigh
from guided.search.moves import ResampleMove
from guided.search.particles import ParticleSystem, Stage, check_particles
from guided.search.population import Particle
from guided.search.potential import Form, Potential
from guided.search.problem import Problem
from guided.search.resampling import Resampling
from guided.search.rollouts import KnownValue, Lookahead, Rollouts, Value
from guided.search.search import Search
from guided.search.segmenter import Tokens
from guided.search.selection import Rule, check_rule, select
from guided.search.tempering import Base, check_alpha, log_tempered, tempered_controls
from guided.search.voting import Answer


@dataclass(frozen=True)
class RewardTarget:
    """Base times potentials, with or without a lookahead: γ = Π m Π ψ L."""

    base: Base
    alpha: float
    potential: Potential
    lookahead: Lookahead | None = None

    def potentials(self, problem: Problem, particles: Sequence[Particle]) -> Plan[list[float]]:
        """log ψ of each; 0 where only the last reward counts, which `assess` asks for."""
        if self.potential.telescoping:
            return [0.0] * len(particles)
        scores = yield from weigh([particle.node for particle in particles])
        return [self.potential.log_value(score.value) for score in scores]

    def assess(
        self, problem: Problem, particles: Sequence[Particle], stage: Stage
    ) -> Plan[list[float]]:
        """log γ of each."""
        logs = [self._log_base(p.node.branch, p.log_p, p.log_q) for p in particles]
        if self.potential.telescoping:
            scores = yield from weigh([particle.node for particle in particles])
            values = [self.potential.log_value(score.value) for score in scores]
        else:
            values = [particle.log_potential for particle in particles]
        totals = [log + value for log, value in zip(logs, values, strict=True)]
        ahead = [i for i, particle in enumerate(particles) if not particle.is_over]
        if self.lookahead is not None and ahead:
            found = yield from self.lookahead.estimate(problem, [particles[i] for i in ahead])
            for i, value in zip(ahead, found, strict=True):
                totals[i] += value
        return totals

    def _log_base(self, branch: Branch, log_p: float, log_q: float) -> float:
        if self.base == "drawn":
            return log_q
        if self.base == "powered":
            return self.alpha * log_p
        return log_tempered(branch, self.alpha, log_p, log_q)

    def log_ratio(self, branch: Branch) -> float:
        """The logarithm of the base over the law drawn from, of all tokens of a branch."""
        log_p, log_q = sum(branch.log_p), sum(branch.log_q)
        return self._log_base(branch, log_p, log_q) - log_q


@dataclass(frozen=True)
class SMC(Search):
    """Draws from the model's law times potentials of a reward (arXiv 2604.16453).

    The target is Π m(y_t) Π ψ_b over tokens t and blocks b, of all texts that grammar, bans and
    truncation allow; controls that only tilt the law, and the temperature given to `run`, change
    the proposal and not the target. Texts that `max_new_tokens` cuts count as they are.

    Args:
        n: particles.
        base: m. "tempered": the model at temperature 1 / alpha; "powered": p ** alpha, not
            normalised; "drawn": the law drawn from, masked token by token where a grammar is.
        alpha: the power.
        form: ψ of a reward r: "exp", exp(strength r); "power", r ** strength (r >= 0); "odds",
            (r / (1 - r)) ** strength (0 <= r <= 1).
        strength: its exponent.
        telescoping: only the reward of the whole text counts, those on the way guide. Otherwise
            every block multiplies the target by the value of its own reward.
        block: tokens of a block; None: a block is a step of the search's segmenter.
        lookahead: rollouts from every particle after every block, or a function of prompt and
            `Continuation` that gives log L; 0: weights look at the prefix only.
        rollout_temperature: of the rollouts; the particles' own law if not given.
        moves: Metropolis-Hastings steps on every particle after resampling.
        exact: moves accept by the target that weighs. False is the published recipe: weights by
            the tempered base and the prefix only, moves of poor copies by the powered base and
            the lookahead; it is exact for neither target.
        kappa: resample where the effective sample size falls below `kappa` n.
        resampling: "systematic", "multinomial", "stratified" or "residual".
        select: which particle is returned. Only "sample" gives samples of the target.
        answer: the answer that a text gives, for majorities; see `Majority`.

    Raises:
        InputError: a number out of its range, an unknown name, settings without effect.
    """

    n: int = 16
    base: Base = "tempered"
    alpha: float = 1.0
    form: Form = "exp"
    strength: float = 4.0
    telescoping: bool = True
    block: int | None = None
    lookahead: int | Value = 0
    rollout_temperature: float | None = None
    moves: int = 0
    exact: bool = True
    kappa: float = 0.5
    resampling: Resampling = "systematic"
    select: Rule = "reward"
    answer: Answer | None = None

    finishes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_particles(self.n, self.block, self.resampling, self.kappa)
        check_rule(self.select)
        check_alpha(self.alpha)
        if self.base not in ("tempered", "powered", "drawn"):
            raise InputError(
                f'base={self.base!r} is unknown; give "tempered", "powered" or "drawn"'
            )
        self._potential()
        self._check_lookahead()
        if self.moves < 0:
            raise InputError(f"moves must be a number of steps, not {self.moves}")
        if not self.exact and (self.moves == 0 or self.base != "tempered"):
            raise InputError(
                'exact=False is about moves of particles with the "tempered" base; give moves, '
                "and leave base as it is"
            )

    def _check_lookahead(self) -> None:
        if isinstance(self.lookahead, int) and self.lookahead < 0:
            raise InputError(f"lookahead must be a number of rollouts, not {self.lookahead}")
        if self.rollout_temperature is None:
            return
        if callable(self.lookahead) or self.lookahead == 0:
            raise InputError("rollout_temperature has no effect without rollouts; give lookahead")
        if not self.rollout_temperature > 0:
            raise InputError(
                f"rollout_temperature must be positive, not {self.rollout_temperature}"
            )

    @property
    def default_temperature(self) -> float:  # type: ignore[override]
        """That of the base."""
        return 1 / self.alpha

    def controls(self, row: Row) -> Sequence[Control]:
        if self.base != "tempered":
            return row.controls
        return tempered_controls(row.controls, self.alpha)

    def plan(self, problem: Problem) -> Plan[None]:
        ahead = self._target(self.base if self.exact else "powered")
        weighs = ahead if self.exact else RewardTarget(self.base, self.alpha, self._potential())
        moves = ResampleMove(self.moves, None if self.exact else ahead) if self.moves else None
        system = ParticleSystem(
            n=self.n,
            target=weighs,
            block=self.block,
            resampling=self.resampling,
            kappa=self.kappa,
            moves=moves,
            waits=self.telescoping and self.lookahead == 0,
            by_reward=self.select == "reward",
        )
        population = yield from system.run(problem)
        problem.log_z = population.log_z
        yield from select(problem, population, self.select, self.answer)

    def _potential(self) -> Potential:
        return Potential(self.form, self.strength, self.telescoping)

    def _target(self, base: Base) -> RewardTarget:
        plain = RewardTarget(base, self.alpha, self._potential())
        if callable(self.lookahead):
            return RewardTarget(base, self.alpha, plain.potential, KnownValue(self.lookahead))
        if self.lookahead == 0:
            return plain
        own_law = self.rollout_temperature is None
        rollouts = Rollouts(
            self.lookahead,
            plain.potential,
            self._blocks,
            self.rollout_temperature,
            plain.log_ratio if own_law else None,
        )
        return RewardTarget(base, self.alpha, plain.potential, rollouts)

    def _blocks(self, problem: Problem, branches: Sequence[Branch]) -> Until:
        return problem.until(branches, None if self.block is None else Tokens(self.block))
