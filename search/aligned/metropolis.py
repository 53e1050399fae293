"""The Metropolis-Hastings kernel over texts of a grammar: where to cut, what to accept.

With P the target's law, m(u) the mass of what the grammar allows after the prefix u, and G = P / m
the masked law, a proposal keeps i tokens of the text x with probability pos_x(i) and draws the
rest from G:

    q(y|x) = sum over i <= |common prefix of x and y| of pos_x(i) G(y | y_<i)

and is accepted with probability min(1, P(y) q(x|y) / (P(x) q(y|x))). See "Constrained Sampling for
Language Models Should Be Easy: An MCMC Perspective" (arXiv 2506.05754).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from guided.errors import InputError
from guided.search.resampling import Floats, log_sum

Variant = Literal["restart", "prefix", "priority"]


@dataclass(frozen=True, eq=False)
class Course:
    """A whole text, and the laws at the place of each of its tokens.

    Attributes:
        tokens: the stop token included.
        log_p: of each token under P, `[n]`.
        log_m: the logarithm of the mass that the grammar allows where it was drawn, `[n]`.
        entropies: of P there, in nats, `[n]`.
    """

    tokens: tuple[int, ...]
    log_p: Floats
    log_m: Floats
    entropies: Floats

    @property
    def log_g(self) -> Floats:
        """Of each token under the masked law, `[n]`."""
        return self.log_p - self.log_m

    def shared_with(self, other: Course) -> int:
        """The tokens that both begin with."""
        pairs = enumerate(zip(self.tokens, other.tokens, strict=False))
        shortest = min(len(self.tokens), len(other.tokens))
        return next((at for at, (own, their) in pairs if own != their), shortest)


def _restart(course: Course) -> Floats:
    logs = np.full(len(course.tokens), -np.inf)
    logs[0] = 0.0
    return logs


def _prefix(course: Course) -> Floats:
    return np.full(len(course.tokens), -math.log(len(course.tokens)))


def _priority(course: Course) -> Floats:
    return np.asarray(course.entropies - log_sum(course.entropies))


_CUTS: dict[Variant, Callable[[Course], Floats]] = {
    "restart": _restart,
    "prefix": _prefix,
    "priority": _priority,
}


def check_variant(variant: str) -> None:
    """Refuses a name that is no variant.

    Raises:
        InputError: it is none of "restart", "prefix", "priority".
    """
    if variant not in _CUTS:
        raise InputError(f"variant={variant!r} is unknown; give one of {', '.join(_CUTS)}")


def log_cuts(variant: Variant, course: Course) -> Floats:
    """log pos: the chances `[n]` to keep 0, 1, … n - 1 tokens of a text.

    "restart" keeps none, "prefix" is uniform, "priority" is proportional to the perplexity of P
    at the place of the first token that is drawn again. No variant ever gives 0 a chance of zero,
    so that every text can follow on every other.
    """
    return _CUTS[variant](course)


def choose_cut(variant: Variant, course: Course, point: float) -> int:
    """How many tokens to keep, by a number in [0, 1)."""
    cumulated = np.cumsum(np.exp(log_cuts(variant, course)))
    found = int(np.searchsorted(cumulated, point * cumulated[-1], side="right"))
    return min(found, len(course.tokens) - 1)


def log_proposal(variant: Variant, old: Course, new: Course) -> float:
    """log q(new | old), over all cuts that lead from the one to the other."""
    cuts = log_cuts(variant, old)
    reached = min(old.shared_with(new), len(cuts) - 1) + 1
    ends = np.cumsum(new.log_g[::-1])[::-1]
    return log_sum(cuts[:reached] + ends[:reached])


def log_acceptance(variant: Variant, old: Course, new: Course) -> float:
    """The logarithm of the chance to go from `old` on to the proposal `new`."""
    if old.tokens == new.tokens:
        return 0.0
    forth, back = log_proposal(variant, old, new), log_proposal(variant, new, old)
    return min(0.0, float(new.log_p.sum() - old.log_p.sum()) + back - forth)


def log_least_cut(variant: Variant, limit: int, width: int, first_entropy: float) -> float:
    """A lower bound on log pos(0) over all texts.

    Args:
        limit: the most tokens of a text.
        width: the tokens of the vocabulary.
        first_entropy: of P at the very beginning, which all texts share.
    """
    if variant == "restart":
        return 0.0
    if variant == "prefix":
        return -math.log(limit)
    others = math.log(limit - 1) + math.log(width) if limit > 1 else -math.inf
    return first_entropy - log_sum([first_entropy, others])


def distance_bound(log_least: float, log_mass: float, steps: int) -> float:
    """A bound on the total variation between the law of a chain after `steps` moves and Q.

    From every text a move leads to y with a chance of at least pos(0) Z Q(y), by m <= 1, so that
    (Doeblin; Mengersen and Tweedie 1996 for "restart") the distance is at most

        (1 - pos(0) Z) ** steps

    and the mass of any texts that are known to be legal is a lower bound on Z.

    Args:
        log_least: of the least pos(0), `log_least_cut`.
        log_mass: the logarithm of a lower bound on Z.
    """
    chance = min(1.0, math.exp(log_least + log_mass))
    return float((1.0 - chance) ** steps)
