"""One token of the masked law by checking single tokens, with an unbiased weight.

Adaptive weighted rejection sampling (Lipkin et al. 2025, arXiv 2504.05410). With p the law over the
vocabulary and C the tokens that the constraint accepts, each of these functions returns a token x
and a weight w such that for every token a of C

    E[w 1{x = a}] = p(a),    hence    E[w] = p(C), the mass m of what is accepted.

So a particle that grows by x and is multiplied by w is properly weighted with respect to p
restricted to C, although p(C) is never computed. `first_accepted` alone has the weight 1 and is not
proper: it draws from the masked law and says nothing of its mass.

The functions draw from an `Urn` and know nothing of how it draws, nor of what its numbers are: the
tests run them on urns whose every outcome is enumerated in rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, Protocol, TypeVar

#: Masses are floating-point numbers, or rational ones.
N = TypeVar("N", float, Fraction)
N_co = TypeVar("N_co", float, Fraction, covariant=True)
Accept = Callable[[int], bool]


class Urn(Protocol[N_co]):
    """Tokens with masses, from which one is drawn in proportion to these."""

    @property
    def total(self) -> N_co:
        """The mass of all tokens that were ever in it."""
        ...

    @property
    def left(self) -> N_co:
        """The mass of those that are still in it; 0 exactly where there are none."""
        ...

    def draw(self) -> tuple[int, N_co]:
        """A token, which stays in the urn, and its mass, which is positive."""
        ...

    def remove(self, token: int) -> None:
        """Takes a token out."""
        ...

    def redrawn(self, most: int | None) -> int:
        """How often a token that was taken out would come again before one that is still there.

        That many failures come before the first success of independent trials with the chance
        `left / total`; no more than `most` are counted.
        """
        ...


@dataclass(frozen=True, slots=True)
class Weighted(Generic[N]):
    """A token and its weight, in the units of the urn's masses; not accepted if the weight is 0."""

    token: int
    weight: N


def first_accepted(
    urn: Urn[N], accept: Accept, max_rejects: int | None = None, patience: int | None = None
) -> Weighted[N] | None:
    """The first token that is accepted; its weight is the urn's total, which is not proper.

    `patience` is that of `recursive`.
    """
    rejects = 0
    while True:
        token, _ = urn.draw()
        if accept(token):
            return Weighted(token, urn.total)
        urn.remove(token)
        rejects += 1
        if urn.left == 0 or rejects == max_rejects:
            return Weighted(token, urn.total * 0)
        if rejects == patience:
            return None


def recursive(
    urn: Urn[N], accept: Accept, max_rejects: int | None = None, patience: int | None = None
) -> Weighted[N] | None:
    """The first accepted token; one more is checked for the weight.

    With R the mass rejected before x, the weight is 1 - R where the next token is accepted as well,
    else p(x). It is at most one check more than rejections and the accepted token need.

    Args:
        max_rejects: rejections after which it gives up, with the weight 0.
        patience: rejections after which it returns None: the caller is to draw from p restricted to
            C and to weigh by p(C), which is as proper as going on. For, whatever has been rejected,
            the expectation of w 1{x = a} is still p(a).
    """
    rejects = 0
    while True:
        token, mass = urn.draw()
        left = urn.left
        urn.remove(token)
        if accept(token):
            if urn.left == 0 or rejects + 1 == max_rejects:
                return Weighted(token, left)
            following, _ = urn.draw()
            return Weighted(token, left if accept(following) else mass)
        rejects += 1
        if urn.left == 0 or rejects == max_rejects:
            return Weighted(token, urn.total * 0)
        if rejects == patience:
            return None


def two_loop(urn: Urn[N], accept: Accept) -> Weighted[N]:
    """The first accepted token; a second loop goes on until one is accepted again.

    With R the mass that the first loop rejects, and n the rejections of both, the weight is
    (1 - R) / (n + 1).
    """
    rejects, found, left = 0, -1, urn.total
    for loop in (1, 2):
        token, _ = urn.draw()
        while not accept(token):
            urn.remove(token)
            rejects += 1
            if urn.left == 0:
                return Weighted(token, urn.total * 0)
            token, _ = urn.draw()
        if loop == 1:
            found, left = token, urn.left
    return Weighted(found, left / (rejects + 1))


def geometric(
    urn: Urn[N], accept: Accept, accepts: int = 2, max_rejects: int | None = None
) -> Weighted[N]:
    """The first accepted token; the weight is that of drawing with replacement.

    Independent draws go on until `accepts` of them are accepted or `max_rejects` rejected; those
    that would come upon a rejected token again are only counted. See `share`.
    """
    accepted = rejected = 0
    found = last = -1
    while accepted < accepts and (max_rejects is None or rejected < max_rejects):
        if urn.left < urn.total:
            rejected += urn.redrawn(None if max_rejects is None else max_rejects - rejected)
            if rejected == max_rejects:
                break
        last, _ = urn.draw()
        if accept(last):
            accepted += 1
            found = last if accepted == 1 else found
        else:
            rejected += 1
            urn.remove(last)
            if urn.left == 0:
                break
    if accepted == 0:
        return Weighted(last, urn.total * 0)
    over, under = share(accepted, rejected, accepts)
    return Weighted(found, urn.total * over / under)


def share(accepted: int, rejected: int, accepts: int) -> tuple[int, int]:
    """The chance that the first of some independent draws was accepted, given how many were.

    Numerator and denominator of min(A - 1, a) / (a + r - 1), for a of A accepted and r rejected
    draws, the last of which ended them. Its mean is the chance that a draw is accepted.
    """
    return min(accepts - 1, accepted), accepted + rejected - 1
