"""AWRS and SMC: weighted particles of the model's law conditioned on a grammar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from guided.controls.measured_mask import MeasuredMask, measuring
from guided.controls.protocol import Control
from guided.errors import InputError
from guided.model import Model
from guided.options import Aligns
from guided.rewards.scorer import Scorer
from guided.rows import Row
from guided.search.aligned.growth import CheckedGrowth, Growth, MaskedGrowth
from guided.search.aligned.single_checks import GrammarFollower
from guided.search.aligned.token_draws import Estimator, TokenSampler
from guided.search.aligned.weighted_particles import AlignedTarget, WeightedParticles
from guided.search.effects import Plan
from guided.search.particles import check_particles
from guided.search.potential import Form, Potential
from guided.search.problem import Problem
from guided.search.resampling import Resampling
from guided.search.search import Search
from guided.search.selection import Rule, check_rule, select
from guided.search.voting import Answer


@dataclass(frozen=True)
class AWRS(Search):
    """Particles of the model's law conditioned on the grammar, by single checks of tokens.

    Adaptive weighted rejection sampling inside sequential Monte Carlo (arXiv 2504.05410). Every
    particle draws a token from the model's law until the grammar accepts one, and is multiplied by
    an unbiased estimate of the mass that the grammar accepts there, which is what masking forgets.
    Particles are resampled where the weights have become uneven. The target is
    Q(w) = P(w) 1[w in L] / Z: P is the model with penalties, temperature and truncation, stop token
    included, and L are the texts of the grammar that fit into `max_new_tokens`. With a reward it is
    Q times ψ(reward of w); the reward of a beginning guides, and is taken back as it grows.

    All particles are candidates, in their slots, with their weights. `SearchResult.log_z` is the
    estimate of log Z, and `SearchResult.certificate` a `ParticleCertificate`. A particle dies where
    no token is accepted; where all do, the result is partial, `log_z` is -inf, and `stopped` says
    "no_mass", or "attempts" under `max_rejects`. Of tokens found by checks, `log_q` is log P less
    the logarithm of the weight.

    Args:
        n: particles.
        proposal: "checks": tokens are checked one by one. "mask": they are drawn from the masked
            law with its exact mass as their weight, for grammars whose masks are cheap.
        estimator: of the mass. "recursive": one check more than the draw itself needs. "geometric":
            draws with replacement until `accepts` are accepted. "auto": "geometric" where
            `accepts` > 2 or the law has a token of probability 2/3, else "recursive". "two_loop":
            the first published one. "improper": none; one particle then is masked decoding.
        accepts: of "geometric" and "auto".
        max_rejects: rejections after which a particle dies; None: when all tokens have been tried.
            The estimate of Z remains unbiased.
        mask_after: rejections after which the mask is asked for, so that the draw is exact from
            there on; of "auto", "recursive" and "improper". None: never.
        form: ψ of a reward r, as of `SMC`: "exp", exp(strength r); "power", r ** strength; "odds".
        strength: its exponent.
        twist: whether rewards of beginnings guide; else the reward is asked of whole texts only.
        block: tokens between tests of the effective sample size, and between rewards; None: a step
            of the search's segmenter.
        kappa: resample where the effective sample size falls below `kappa` n; 0: never, which is
            importance sampling.
        resampling: "multinomial", "stratified", "systematic" or "residual".
        select: which particle is returned. Only "sample", a draw by weight, is one of the target
            as n grows.
        answer: the answer that a text gives, for majorities; see `Majority`.

    Raises:
        InputError: a number out of its range, an unknown name, settings without effect.
    """

    n: int = 8
    proposal: Literal["checks", "mask"] = field(default="checks", kw_only=True)
    estimator: Estimator = field(default="auto", kw_only=True)
    accepts: int = field(default=2, kw_only=True)
    max_rejects: int | None = field(default=None, kw_only=True)
    mask_after: int | None = field(default=16, kw_only=True)
    form: Form = field(default="exp", kw_only=True)
    strength: float = field(default=4.0, kw_only=True)
    twist: bool = field(default=True, kw_only=True)
    block: int | None = field(default=1, kw_only=True)
    kappa: float = field(default=0.5, kw_only=True)
    resampling: Resampling = field(default="multinomial", kw_only=True)
    select: Rule = field(default="sample", kw_only=True)
    answer: Answer | None = field(default=None, kw_only=True)

    aligns: ClassVar[Aligns] = "particles"
    needs_reward: ClassVar[bool] = False
    default_temperature: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        check_particles(self.n, self.block, self.resampling, self.kappa)
        check_rule(self.select)
        Potential(self.form, self.strength)
        self._sampler()
        if self.proposal not in ("checks", "mask"):
            raise InputError(f'proposal={self.proposal!r} is unknown; give "checks" or "mask"')
        if self.proposal == "mask" and (self.estimator, self.max_rejects) != ("auto", None):
            raise InputError(
                'proposal="mask" knows the mass and estimates nothing; leave estimator and '
                "max_rejects out"
            )

    def check(self, model: Model, scorer: Scorer | None) -> None:
        super().check(model, scorer)
        if self.select == "reward" and scorer is None:
            raise InputError('select="reward" needs a reward; pass reward=')

    def controls(self, row: Row) -> Sequence[Control]:
        control = MeasuredMask if self.proposal == "mask" else GrammarFollower
        return measuring(row.controls, type(self).__name__, control.of)

    def plan(self, problem: Problem) -> Plan[None]:
        potential = None if problem.scorer is None else Potential(self.form, self.strength)
        growth: Growth = (
            MaskedGrowth() if self.proposal == "mask" else CheckedGrowth(self._sampler())
        )
        particles = WeightedParticles(
            n=self.n,
            target=AlignedTarget(potential, self.twist),
            growth=growth,
            block=self.block,
            resampling=self.resampling,
            kappa=self.kappa,
            by_reward=self.select == "reward",
        )
        population = yield from particles.run(problem)
        is_proper = self.estimator != "improper"
        problem.certificate = particles.certificate(population, is_proper)
        problem.log_z = problem.certificate.log_z
        if population.log_z == -math.inf:
            problem.gave_up = "no_mass" if self.max_rejects is None else "attempts"
        yield from select(problem, population, self.select, self.answer)

    def _sampler(self) -> TokenSampler:
        return TokenSampler(self.estimator, self.accepts, self.max_rejects, self.mask_after)
