"""How AWRS draws one token: which estimator, and what to do where little is accepted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from guided.errors import InputError
from guided.search.aligned.estimators import (
    Weighted,
    first_accepted,
    geometric,
    recursive,
    two_loop,
)
from guided.search.aligned.single_checks import TokenChecks
from guided.search.aligned.urns import LogitUrn

#: "auto" takes "geometric" where the law is peaked or more than two draws are to be accepted, else
#: "recursive". "improper" draws from the masked law with the weight 1.
Estimator = Literal["auto", "recursive", "geometric", "two_loop", "improper"]
_NAMES: tuple[str, ...] = get_args(Estimator)
#: From this probability of one token on, the geometric estimator needs less than two checks.
_PEAK = 2 / 3


class TokenDraw(NamedTuple):
    """A token, and the logarithm of its weight: -inf where none was accepted."""

    token: int
    log_weight: float


@dataclass(frozen=True)
class TokenSampler:
    """Draws a token and a weight w with E[w 1{x = a}] = p(a) for every token a that is accepted.

    Args:
        estimator: by which the weight is made.
        accepts: draws that "geometric" waits for, at least 2; more of them, less variance.
        max_rejects: rejections of a token's draw after which there is none, with the weight 0.
        mask_after: rejections after which the whole mask is asked for, of "auto", "recursive" and
            "improper". The draw is exact from there on, with the accepted mass as its weight.

    Raises:
        InputError: an unknown name, a number out of its range, settings without effect.
    """

    estimator: Estimator = "auto"
    accepts: int = 2
    max_rejects: int | None = None
    mask_after: int | None = None

    def __post_init__(self) -> None:
        if self.estimator not in _NAMES:
            raise InputError(
                f"estimator={self.estimator!r} is unknown; give one of {', '.join(_NAMES)}"
            )
        if self.accepts < 2:
            raise InputError(f"accepts must be at least 2 draws, not {self.accepts}")
        if self.accepts != 2 and self.estimator not in ("auto", "geometric"):
            raise InputError(f'accepts is about "geometric", not about "{self.estimator}"')
        for name in ("max_rejects", "mask_after"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1 rejection, not {value}")
        if self.max_rejects is not None and self.estimator == "two_loop":
            raise InputError('"two_loop" has no limit of rejections; leave max_rejects out')

    def draw(self, urn: LogitUrn, checks: TokenChecks) -> TokenDraw:
        """A token of the urn that `checks` accepts, and its weight."""
        found = None if checks.must_stop else self._weighted(urn, checks)
        if found is not None:
            share = found.weight / urn.total
            return TokenDraw(found.token, math.log(share) if share > 0 else -math.inf)
        rest = urn.restricted(checks.mask())
        if rest is None:
            return TokenDraw(-1, -math.inf)
        token, log_mass = rest
        return TokenDraw(token, 0.0 if self.estimator == "improper" else log_mass)

    def _weighted(self, urn: LogitUrn, checks: TokenChecks) -> Weighted[float] | None:
        """By single checks; None where the mask is to be asked."""
        if self.estimator == "two_loop":
            return two_loop(urn, checks)
        if self.estimator == "improper":
            return first_accepted(urn, checks, self.max_rejects, self.mask_after)
        if self.estimator == "geometric" or (
            self.estimator == "auto" and self._prefers_geometric(urn, checks)
        ):
            return geometric(urn, checks, self.accepts, self.max_rejects)
        return recursive(urn, checks, self.max_rejects, self.mask_after)

    def _prefers_geometric(self, urn: LogitUrn, checks: TokenChecks) -> bool:
        token, chance = urn.largest
        if self.accepts == 2 and chance < _PEAK:
            return False
        # Without its peak the law may accept next to nothing, and geometric asks for no mask. What
        # is asked here would be among the first to be drawn.
        return self.mask_after is None or checks(token)
