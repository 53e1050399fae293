"""What an anchored sequence may spend, and what it has spent: nats by token."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from guided.errors import ControlError

Form = Literal["kl", "pathwise"]
Schedule = Literal["banked", "static", "global"]
_FORMS, _SCHEDULES = ("kl", "pathwise"), ("banked", "static", "global")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a budget accrues, token by token.

    Args:
        k: nats for every token.
        horizon: tokens that bring budget; None: all.
        form: what a token costs: "kl" the divergence of the law it is drawn from, "pathwise" the
            log-ratio of its own probabilities, which may be negative.
        schedule: "banked": what is left accrues; "static": it is lost; "global": the whole budget
            is there from the first token on.

    Raises:
        ControlError: no number from 0, no positive horizon, an unknown word, a global budget
            without a horizon.
    """

    k: float
    horizon: int | None
    form: Form = "kl"
    schedule: Schedule = "banked"

    def __post_init__(self) -> None:
        if not (self.k >= 0 and math.isfinite(self.k)):
            raise ControlError(
                f"k is a budget in nats for every token, a number from 0, not {self.k}; for the "
                "risky model alone leave the control out"
            )
        if self.horizon is not None and self.horizon < 1:
            raise ControlError(f"horizon must be at least 1 token, not {self.horizon}")
        for name, value, known in (
            ("form", self.form, _FORMS),
            ("schedule", self.schedule, _SCHEDULES),
        ):
            if value not in known:
                raise ControlError(f"{name} must be one of {', '.join(known)}, not {value!r}")

    def allowed(self, tokens: int, debt: float) -> float:
        """The most that so many tokens may have spent together."""
        paid = tokens if self.horizon is None else min(tokens, self.horizon)
        if self.schedule == "global" and tokens > 0 and self.horizon is not None:
            paid = self.horizon
        return max(0.0, paid * self.k - debt)

    def next_budget(self, tokens: int, spent: float, debt: float) -> float:
        """What the token after so many may cost."""
        allowed = self.allowed(tokens + 1, debt)
        if self.schedule == "static":
            return allowed - self.allowed(tokens, debt)
        return max(0.0, allowed - spent)


@dataclass(frozen=True, slots=True)
class Charge:
    """One token's entry.

    Attributes:
        budget: k_t, what it might have cost.
        theta: 0: drawn from the safe law, 1: from the risky one, or how far in between; in the
            pathwise form the share of the mass that the cap left alone.
        cost: what it has cost, never above `budget`.
    """

    budget: float
    theta: float
    cost: float


@dataclass(frozen=True)
class Ledger:
    """The account of one anchored sequence; goes on with `Anchored(..., ledger=this)`.

    Attributes:
        terms: how the budget accrues.
        debt: what the prompt owed before the first token.
        charges: one for every token, in order.
    """

    terms: Terms
    debt: float
    charges: tuple[Charge, ...] = field(repr=False)

    @property
    def spent(self) -> float:
        """What the tokens have cost together."""
        return math.fsum(charge.cost for charge in self.charges)

    @property
    def budget(self) -> float:
        """K = k · horizon, in nats; infinite without a horizon."""
        return math.inf if self.terms.horizon is None else self.terms.k * self.terms.horizon

    @property
    def allowed(self) -> float:
        """The most that these tokens may have spent."""
        return self.terms.allowed(len(self.charges), self.debt)

    @property
    def remaining(self) -> float:
        """What of the whole budget has neither been spent nor is owed."""
        return max(0.0, self.budget - self.debt - self.spent)

    def __str__(self) -> str:
        most = max(0.0, self.budget - self.debt)
        what = "KL(q || safe)" if self.terms.form == "kl" else "ln q / safe of every text"
        return (
            f"anchored: {self.spent:.3g} nats spent of {self.allowed:.3g} allowed so far, debt "
            f"{self.debt:.3g}, {len(self.charges)} charges; {what} <= {most:.3g} (proven)"
        )

    def event_bound(self, log_safe: float) -> float:
        """A bound on the probability of any event, from its log-probability under the safe model.

        (K + ln 2) / ln(1/s), or e^K s in the pathwise form, with what is left of K after the debt;
        it holds for one whole output given its prompt. 1 where it says nothing.

        Raises:
            ValueError: a log-probability above 0.
        """
        if not log_safe <= 0:
            raise ValueError(f"a log-probability is at most 0, not {log_safe}")
        most = max(0.0, self.budget - self.debt)
        if self.terms.form == "pathwise":
            return math.exp(min(0.0, most + log_safe))
        return 1.0 if log_safe == 0 else min(1.0, (most + math.log(2)) / -log_safe)


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """A ledger while its sequence grows: a persistent value.

    Attributes:
        tokens: how many have been charged, by this call and those before it.
        before: tokens that earlier calls had charged.
        entries: the last charge, and the entries before it; None: there is none.
    """

    terms: Terms
    debt: float = 0.0
    tokens: int = 0
    spent: float = 0.0
    before: int = 0
    entries: tuple[Charge, object] | None = None

    @classmethod
    def resumed(cls, ledger: Ledger, terms: Terms) -> Account:
        """The account that goes on from a ledger."""
        account = cls(terms, ledger.debt)
        for charge in ledger.charges:
            account = account.charged(charge)
        return replace(account, before=account.tokens)

    @property
    def next_budget(self) -> float:
        """What the next token may cost."""
        return self.terms.next_budget(self.tokens, self.spent, self.debt)

    @property
    def position(self) -> int:
        """The position of the next token among those of this call."""
        return self.tokens - self.before

    def charged(self, charge: Charge) -> Account:
        """The account after one more token."""
        return replace(
            self,
            tokens=self.tokens + 1,
            spent=self.spent + charge.cost,
            entries=(charge, self.entries),
        )

    def ledger(self) -> Ledger:
        """The account as it stands."""
        found: list[Charge] = []
        at: object = self.entries
        while isinstance(at, tuple):
            charge, at = at
            found.append(charge)
        return Ledger(self.terms, self.debt, tuple(reversed(found)))
