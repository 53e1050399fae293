"""What aligned samplers can say for certain about their draws.

The target is Q(w) = P(w) / Z on the language: P is the model's law of whole texts, stop token
included, after penalties, temperature and truncation, and Z the probability that a text of the
model is in the language.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Proof:
    """What the texts drawn so far prove.

    Attributes:
        log_bound: log ub of the empty prefix; Z is at most its exponential.
        distance: the total variation between the law of a draw that goes by these bounds and the
            target is at most this.
    """

    log_bound: float
    distance: float


@dataclass(frozen=True, slots=True)
class ASApCertificate:
    """What ASAp's prefix trie proves, without knowing Z.

    With D the distinct texts drawn, P(D) <= Z <= ub, and a draw's law is within 1 - P(D) / ub of
    the target in total variation. The bounds are those of the model's law as it was computed:
    rounding in forward passes of another shape is not part of them.

    Attributes:
        log_bound: log ub of the empty prefix after the last draw.
        log_drawn: log P(D), of all draws that the trie has seen.
        distance: the bound for the law of a further draw.
        distances: the bound for the law that each candidate was drawn from, in their order.
        proofs: what was known after every draw of this call, dead ends included.
        log_z: the logarithm of an estimate of Z, the mean of P(w) / q(w) over this call's draws w
            from laws q, dead ends counting 0; None before the first. It is unbiased where there
            are no dead ends: with them, that draws end with the n-th text raises it a little.
        weights: under `align=`, the normalised weights of the draws: averages with these tend to
            those of the target for any number of draws. Draws without weights tend to it, too.
    """

    log_bound: float
    log_drawn: float
    distance: float
    distances: tuple[float, ...] = ()
    proofs: tuple[Proof, ...] = field(default=(), repr=False)
    log_z: float | None = None
    weights: tuple[float, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return (
            f"ASAp: a further draw is within {self.distance:.2g} of the target (total variation, "
            f"proven); {math.exp(self.log_drawn):.3g} <= Z <= {math.exp(self.log_bound):.3g}"
        )


@dataclass(frozen=True, slots=True)
class RejectionCertificate:
    """What rejection knows: accepted texts are independent draws from the target itself.

    That holds for every attempt, whatever was learnt from those before it. Where a limit has
    `cut` the search off, texts that are short or likely to be accepted soon are favoured.

    Attributes:
        attempts: draws that were accepted or rejected.
        accepted: among them.
        log_bound: log of the probability of what may still be proposed: Z is at most its
            exponential, and Z / exp(log_bound) of further attempts are accepted.
        log_drawn: log of the probability of the distinct texts accepted, a lower bound of Z; -inf
            where no trie is kept.
        z: an estimate of Z, the mean of 1{accepted} times the bound before the attempt, over all
            attempts that the trie has seen; NaN before the first. Each of these is unbiased; that
            attempts end with the n-th accepted text raises their mean by about 1 / n of it.
        z_error: its standard error; NaN before the second attempt.
        passes: forward passes of the model.
        cut: whether a limit ended the search.
    """

    attempts: int
    accepted: int
    log_bound: float
    log_drawn: float
    z: float
    z_error: float
    passes: int
    cut: bool

    @property
    def acceptance(self) -> float:
        """The share of the attempts that was accepted; NaN before the first."""
        return self.accepted / self.attempts if self.attempts else math.nan

    @property
    def log_z(self) -> float:
        """log of the estimate of Z; -inf where nothing was accepted."""
        return math.log(self.z) if self.z > 0 else -math.inf

    @property
    def passes_per_text(self) -> float:
        """Forward passes for each accepted text; infinite where there is none."""
        return self.passes / self.accepted if self.accepted else math.inf

    def __str__(self) -> str:
        draws = "draws up to a limit, which favours short texts" if self.cut else "exact draws"
        return (
            f"rejection: {draws}; {self.accepted} of {self.attempts} attempts accepted; "
            f"Z = {self.z:.3g}, standard error {self.z_error:.1g}"
        )


@dataclass(frozen=True, slots=True)
class ParticleCertificate:
    """What weighted particles know: an unbiased estimate of Z, and how even their weights are.

    The mean of the weights is right about the target for any number of particles; that a particle
    drawn by weight has the target's law holds as they become many. With a reward, Z is the sum of
    P(w) on the language times what its potential says of w.

    Attributes:
        particles: how many there were; `dead`: that ended outside of the language, with weight 0.
        ess: the effective sample size of the weights at the end; 0 where all are dead.
        families: first ancestors that the particles with weight descend from.
        resamplings: how often they were resampled.
        log_z: the logarithm of the estimate of Z, -inf where all are dead; None where the weights
            are not proper ("improper").
        z_error: the standard error of the estimate, relative to it: that of the weights' mean, and
            after multinomial resampling that of Lee and Whiteley (2018); None where it is not
            known: a single particle, other schemes.
        tokens: tokens drawn; `checks`: single tokens that the grammar was asked about; `masks`:
            whole masks that it made.
        weights: under `align=`, the normalised weights of the particles with a complete text.
        draws: the particle, by its place among `weights`, that each result is; drawn in proportion
            to the weights by systematic resampling, in random order.
    """

    particles: int
    dead: int
    ess: float
    families: int
    resamplings: int
    log_z: float | None
    z_error: float | None
    tokens: int
    checks: int
    masks: int
    weights: tuple[float, ...] = field(default=(), repr=False)
    draws: tuple[int, ...] = field(default=(), repr=False)

    @property
    def checks_per_token(self) -> float:
        """Tokens that were checked for each one drawn; NaN before the first."""
        return self.checks / self.tokens if self.tokens else math.nan

    def __str__(self) -> str:
        z = "Z is not estimated" if self.log_z is None else f"Z = {math.exp(self.log_z):.3g}"
        error = "" if self.z_error is None else f", standard error {self.z_error:.0%} of it"
        return (
            f"particles: {self.particles}, {self.dead} of them dead; {self.families} of the first "
            f"have descendants after {self.resamplings} resamplings; effective sample size "
            f"{self.ess:.3g}; {z}{error} (estimates, nothing is proven)"
        )


@dataclass(frozen=True, slots=True)
class MCMCCertificate:
    """What is certain about the ends of Markov chains.

    A move leads from every text to the text w with a chance of at least pos(0) P(w), with pos(0)
    the chance to keep nothing of a text. So the law of a chain's end is within
    (1 - pos(0) Z) ** steps of the target in total variation, and P(D) <= Z for the distinct texts
    D that were seen. The bound is coarse: chains are usually much nearer.

    Attributes:
        variant: what moves keep of a text.
        chains: draws.
        steps: moves that every chain has made at least.
        moves: of all chains; `accepted`: those that led to a new text, or to the same one again.
        log_drawn: log P(D), a lower bound of log Z; -inf before the first text.
        distance: the bound on the total variation, 1 where nothing is known.
        log_z: log of an unbiased estimate of Z, the mean of the masses that the mask has let stand
            along independent masked draws; None where no such draw was legal.
    """

    variant: str
    chains: int
    steps: int
    moves: int
    accepted: int
    log_drawn: float
    distance: float
    log_z: float | None

    @property
    def acceptance(self) -> float:
        """The share of the moves that was accepted; NaN before the first."""
        return self.accepted / self.moves if self.moves else math.nan

    def __str__(self) -> str:
        z = "" if self.log_z is None else f"; Z = {math.exp(self.log_z):.3g} by estimate"
        return (
            f"MCMC: {self.chains} ends of chains of {self.steps} moves ({self.variant}), each "
            f"within {self.distance:.2g} of the target (total variation, proven); "
            f"{self.accepted} of {self.moves} moves accepted{z}"
        )
