"""Anchored decoding: the risky model's law, kept within a budget of a safe model's law.

Anchored decoding, arXiv 2602.07120; the guarantees and what they are not: docs/anchored.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from guided.controls.ledger import Account, Charge, Form, Ledger, Schedule, Terms
from guided.controls.prompt_debt import Debt, check_debt, counted, prefix_debt
from guided.controls.protocol import NO_AUXILIARY, Auxiliary, Context, Control, Stage
from guided.controls.second_model import check_model
from guided.errors import ControlError, DeadEndError, DecodingError, LogitsError
from guided.kernels import anchoring
from guided.kernels.anchoring import Status

DEFAULT_K = 0.5
#: The name of the safe model's logits.
SAFE = "safe"


class Capped(NamedTuple):
    """A row of a pathwise law and of the safe one, by logits with the logarithms of their sums."""

    law: Tensor
    safe: Tensor
    log_law: float
    log_safe: float

    def ratio(self, token: int) -> float:
        """How much likelier a token is under the law, as a logarithm."""
        own = float(self.law[token]) - self.log_law
        return own - (float(self.safe[token].double()) - self.log_safe)


@dataclass(frozen=True, slots=True)
class Anchoring:
    """The state: what was charged, and what the law of the coming token costs.

    Attributes:
        coming: its charge, once `apply` has seen the law; in the pathwise form the cost is that
            of the token, and only known when it is drawn.
        capped: the law, in the pathwise form.
        is_guess: whether a token was stepped over whose law was not seen, as drafters do.
        counts: the prompt's tokens that count for its debt, until that is known.
    """

    account: Account
    coming: Charge | None = None
    capped: Capped | None = None
    is_guess: bool = False
    counts: tuple[int, ...] = ()


class Anchored(Control):
    """Draws from the risky model's law, as far as a budget of divergence from a safe model allows.

    Every token comes from the law q nearest to the model's, by KL(q || model), of those with
    KL(q || safe) at most k_t. Over the whole output, KL(law of outputs || safe model's) is then at
    most k · horizon, less the prompt's debt. Both laws are those after penalties, temperature,
    masks and truncation, which the safe model gets too. What is guaranteed, and what is not (the
    ratio of probabilities of one text, for one): docs/anchored.md.

    Tokens have to be drawn: greedy decoding is refused, and so are searches that choose tokens.
    The result's `certificate` is the `Ledger`.

    Args:
        safe_model: a `guided.Model` with the same tokens.
        k: nats for every token; 0: the safe model alone. 0.5 if not given, and with a ledger its
            own. It is a risk to be chosen, no proof that nothing is copied.
        horizon: tokens that bring budget, `max_new_tokens` if not given. K = k · horizon.
        debt: what the prompt owes before anything may be spent, in nats: "prefix" measures how
            much likelier the model finds it than the safe model; a number; None for none.
        n_debt: how many of the prompt's tokens, the worst ones, are averaged.
        form: "kl", or "pathwise": log(q / safe) of the drawn text is at most k · horizon.
        schedule: "banked": what a token leaves may be spent later; "static": k for each; "global":
            K for all together. For comparisons; the paper's is "banked".
        disjoint: what happens where no token is possible under both models, which truncation
            (top-k, top-p) can bring about: "error", or "safe" to draw from the safe law there.
        ledger: of an earlier output that this one goes on with: what it has spent stays spent.

    Raises:
        ControlError: a number out of range, an unknown word, a ledger with other terms.
        ModelError: `safe_model` is none.

    Example:
        >>> import guided, guided.testing
        >>> risky, safe = guided.testing.table_model(4, 1), guided.testing.table_model(4, 2)
        >>> result = guided.run(risky, "a", controls=[guided.Anchored(safe, k=0.1)],
        ...                     temperature=1, max_new_tokens=8)
        >>> result.certificate.spent <= 0.8
        True
    """

    stage: ClassVar[Stage] = Stage.CORRECTION
    sequential: ClassVar[bool] = True
    #: Nats for every token where none are given.
    default_k: ClassVar[float] = DEFAULT_K
    needs_draws: ClassVar[str] = (
        "A chosen token has all the mass, so its divergence from the safe model is -log p of the "
        "text, which no budget bounds"
    )

    def __init__(
        self,
        safe_model: Any,
        k: float | None = None,
        horizon: int | None = None,
        debt: Debt = "prefix",
        n_debt: int = 5,
        form: Form = "kl",
        *,
        schedule: Schedule = "banked",
        disjoint: Literal["error", "safe"] = "error",
        ledger: Ledger | None = None,
    ) -> None:
        check_model(safe_model, "safe_model")
        check_debt(debt, n_debt)
        if disjoint not in ("error", "safe"):
            raise ControlError(f"disjoint must be 'error' or 'safe', not {disjoint!r}")
        self.safe_model = safe_model
        self.debt: Debt = debt
        self.n_debt = n_debt
        self.disjoint = disjoint
        self.ledger = ledger
        if ledger is not None:
            k = ledger.terms.k if k is None else k
            horizon = ledger.terms.horizon if horizon is None else horizon
        self.terms = Terms(self.default_k if k is None else k, horizon, form, schedule)
        if ledger is not None and replace(ledger.terms, horizon=horizon) != self.terms:
            raise ControlError(
                f"the ledger was kept by other terms, {ledger.terms}, not {self.terms}; an output "
                "goes on with the k, form and schedule that it began with"
            )

    @property
    def models(self) -> Mapping[str, Any]:
        return {SAFE: self.safe_model}

    @property
    def reads_prompt(self) -> bool:
        return self.debt == "prefix" and self.ledger is None

    def begin(self, context: Context) -> Anchoring:
        horizon = self.terms.horizon if self.terms.horizon is not None else context.max_new_tokens
        if horizon is None and self.terms.schedule == "global":
            raise ControlError(
                "a global budget is k · horizon; give horizon=, or max_new_tokens to the call"
            )
        terms = replace(self.terms, horizon=horizon)
        if self.ledger is not None:
            return Anchoring(Account.resumed(self.ledger, terms))
        if self.debt == "prefix":
            return Anchoring(Account(terms), counts=counted(context.prompt, context.vocabulary))
        return Anchoring(Account(terms, self.debt or 0.0))

    def read(self, state: Anchoring, log_p: Mapping[str, Sequence[float]]) -> Anchoring:
        debt = self.debt_of(log_p[""], log_p[SAFE], state.counts)
        return Anchoring(replace(state.account, debt=debt))

    def debt_of(
        self, risky: Sequence[float], safe: Sequence[float], counts: Sequence[int]
    ) -> float:
        """The debt of a prompt, from the log-probabilities of its tokens after the first.

        Args:
            counts: the positions in these that count.
        """
        return prefix_debt(risky, safe, counts, self.n_debt)

    def apply(
        self, logits: Tensor, states: Sequence[Anchoring], aux: Auxiliary = NO_AUXILIARY
    ) -> tuple[Tensor, Sequence[Anchoring]]:
        safe = aux[SAFE]
        for state in states:
            if state.is_guess:
                raise ControlError("a token was given to Anchored whose law it has not seen")
        budgets = torch.tensor([s.account.next_budget for s in states], dtype=torch.float64)
        solve = self._nearest if self.terms.form == "kl" else self._capped
        return solve(safe, logits, budgets, states)

    def _nearest(
        self, safe: Tensor, risky: Tensor, budgets: Tensor, states: Sequence[Anchoring]
    ) -> tuple[Tensor, Sequence[Anchoring]]:
        found = anchoring.anchor(safe, risky, budgets)
        told = torch.stack([found.theta, found.cost, found.status.double()]).tolist()
        law = self._checked(found.law, safe, told[2], states)
        seen = [
            replace(
                state,
                coming=Charge(budget, *((theta, cost) if status == Status.OK else (0.0, 0.0))),
            )
            for state, budget, theta, cost, status in zip(
                states, budgets.tolist(), *told, strict=True
            )
        ]
        return law, seen

    def _capped(
        self, safe: Tensor, risky: Tensor, budgets: Tensor, states: Sequence[Anchoring]
    ) -> tuple[Tensor, Sequence[Anchoring]]:
        found = anchoring.cap(safe, risky, budgets)
        told = torch.stack([found.share, *found.totals.T, found.status.double()]).tolist()
        law = self._checked(found.law, safe, told[3], states)
        seen = []
        for row, (state, budget) in enumerate(zip(states, budgets.tolist(), strict=True)):
            share, log_law, log_safe, status = (column[row] for column in told)
            if status != Status.OK:
                seen.append(replace(state, coming=Charge(budget, 0.0, 0.0), capped=None))
                continue
            capped = Capped(law[row], safe[row], log_law, log_safe)
            seen.append(replace(state, coming=Charge(budget, share, 0.0), capped=capped))
        return law, seen

    def _checked(
        self, law: Tensor, safe: Tensor, statuses: Sequence[float], states: Sequence[Anchoring]
    ) -> Tensor:
        """The law, once every row that has none was refused or became the safe law."""
        for row, (status, state) in enumerate(zip(statuses, states, strict=True)):
            if status == Status.OK:
                continue
            if status == Status.DISJOINT and self.disjoint == "safe":
                law[row] = safe[row]
                continue
            # The decoder refuses a risky row without numbers or tokens, and names its position.
            if status not in (Status.RISKY_NOT_NUMBERS, Status.RISKY_EMPTY):
                raise _refusal(Status(int(status)), state.account.position)
            law[row] = -torch.inf
        return law

    def step(self, state: Anchoring, token: int) -> Anchoring:
        if state.coming is None:
            return replace(state, is_guess=True)
        charge = state.coming
        if state.capped is not None:
            cost = min(charge.budget, state.capped.ratio(token))
            charge = replace(charge, cost=cost)
        return Anchoring(state.account.charged(charge))

    def stop(self, state: Anchoring, token: int) -> Anchoring:
        return self.step(state, token)

    def certificate(self, state: Anchoring) -> Ledger:
        return state.account.ledger()


def _refusal(status: Status, position: int) -> DecodingError:
    if status == Status.SAFE_NOT_NUMBERS:
        return LogitsError(
            f"the safe model's logits at position {position} are not numbers (NaN or inf)"
        )
    if status == Status.SAFE_EMPTY:
        return DeadEndError(
            f"the safe model allows no token at position {position} that the controls leave",
            position,
        )
    return DecodingError(
        f"no token is possible under both models at position {position}, so no law lies between "
        "them. Where top-k or top-p cut both laws apart, widen them or leave them out, or give "
        "disjoint='safe' to draw from the safe model there"
    )
