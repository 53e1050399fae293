"""Whether any ledger was ever overdrawn, and whether it says what the law really cost."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import guided
from guided.controls.ledger import Ledger

from ..figures import Figure, Report, Table, number
from .pair import Pair, run

LONGEST = 16
BATCH = 250
COLUMNS = (
    "k",
    "trajectories",
    "tokens",
    "overdrawn",
    "mean debt",
    "spent of k",
    "law in between %",
    "largest error",
)
#: Two forward passes in fp32 over the same tokens, in batches of other sizes.
TOLERANCE = 1e-3


@dataclass
class Audit:
    """What was found in the ledgers of one budget.

    Attributes:
        overdrawn: trajectories with a prefix that spent more than its budget allows.
        active: tokens whose law is neither the risky one nor the safe one.
        off: the largest difference between a token's charge and its divergence, computed anew.
    """

    trajectories: int = 0
    tokens: int = 0
    overdrawn: int = 0
    active: int = 0
    debt: float = 0.0
    spent: float = 0.0
    off: float = 0.0

    def see(self, ledger: Ledger, costs: Sequence[float]) -> None:
        """Checks every prefix of a trajectory; `costs` are the divergences computed anew."""
        k, debt = ledger.terms.k, ledger.debt
        charged = [charge.cost for charge in ledger.charges]
        spent = itertools.accumulate(charged)
        allowed = (max(0.0, tokens * k - debt) for tokens in itertools.count(1))
        self.overdrawn += any(a > b + 1e-9 for a, b in zip(spent, allowed, strict=False))
        self.trajectories += 1
        self.tokens += len(charged)
        self.active += sum(0 < charge.theta < 1 for charge in ledger.charges)
        self.debt += debt
        self.spent += math.fsum(charged)
        self.off = max(self.off, *(abs(a - b) for a, b in zip(charged, costs, strict=True)))


def measure(pair: Pair, budgets: Sequence[float], trajectories: int, report: Report) -> None:
    """Adds a table with a row for each budget, of `trajectories` altogether, and the figures."""
    table = Table(
        list(COLUMNS),
        title=f"ledgers of at most {LONGEST} tokens, every prefix checked; the error is that of "
        "the charges against KL(q || safe) from other forward passes",
    )
    report.tables.append(table)
    audits = []
    for k in budgets:
        print(f"ledgers, k = {k:g}", file=sys.stderr, flush=True)
        audits.append(_audit(pair, k, math.ceil(trajectories / len(budgets))))
        table.rows.append(_row(k, audits[-1]))
    count = sum(audit.trajectories for audit in audits)
    report.figures += [
        Figure("ledger_trajectories", count, "", f">= {trajectories}"),
        Figure("ledger_violations", sum(audit.overdrawn for audit in audits), "", "== 0"),
        Figure(
            "ledger_largest_error", max(a.off for a in audits), "nats/token", f"<= {TOLERANCE:g}"
        ),
    ]


def _row(k: float, audit: Audit) -> list[str]:
    allowed = k * audit.tokens
    return [
        f"{k:g}",
        str(audit.trajectories),
        str(audit.tokens),
        str(audit.overdrawn),
        number(audit.debt / audit.trajectories),
        f"{audit.spent / allowed:.0%}" if allowed else "–",
        f"{100 * audit.active / audit.tokens:.1f}",
        f"{audit.off:.1e}",
    ]


def _audit(pair: Pair, k: float, trajectories: int) -> Audit:
    audit, control = Audit(), guided.Anchored(pair.safe, k=k)
    asked = itertools.islice(itertools.cycle(pair.prompts), trajectories)
    for number_, prompts in enumerate(_batched(list(asked), BATCH)):
        found = run(
            pair.risky, prompts, [control], seed=number_, max_new_tokens=LONGEST, batch_size=BATCH
        )
        costs = divergences(pair, prompts, found)
        for result, own in zip(found, costs, strict=True):
            audit.see(result.certificate, own)
    return audit


def _batched(prompts: Sequence[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(prompts), size):
        yield list(prompts[start : start + size])


@torch.no_grad()
def divergences(
    pair: Pair, prompts: Sequence[str], results: Sequence[guided.Result[Any]]
) -> list[list[float]]:
    """KL(q || safe) of every token of every result, q by its ledger's theta.

    Both models read prompt and answer in one plain forward pass.
    """
    encoded = [pair.risky.tokenizer(prompt).input_ids for prompt in prompts]
    rows = [[*ids, *result.tokens] for ids, result in zip(encoded, results, strict=True)]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    risky, safe = (
        model.hf_model(ids).logits.double().log_softmax(-1) for model in (pair.risky, pair.safe)
    )
    found = []
    for row, (begin, result) in enumerate(zip(map(len, encoded), results, strict=True)):
        here = slice(begin - 1, begin - 1 + len(result.tokens))
        thetas = torch.tensor([charge.theta for charge in result.certificate.charges])
        found.append(_divergence(risky[row, here], safe[row, here], thetas.double()).tolist())
    return found


def _divergence(risky: Tensor, safe: Tensor, thetas: Tensor) -> Tensor:
    """KL(q || safe) [tokens] with q proportional to safe^(1 - theta) risky^theta."""
    law = torch.lerp(safe, risky, thetas[:, None]).log_softmax(-1)
    return (law.exp() * (law - safe)).sum(-1)
