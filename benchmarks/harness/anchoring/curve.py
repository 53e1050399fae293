"""How much is copied and how much is known, against the budget, and beside other ways."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import guided
from guided.controls.protocol import Control
from guided.copying import normalised_reduction

from ..figures import Figure, Report, Table, number
from .pair import Outcome, Pair

#: Utility that may be lost where the reduction of copying is read off, in percent.
LOSS = 10.0
#: The measures that the table shows, the six of the NCR and the longest run, and their titles.
MEASURES = {
    "rouge_1": "ROUGE-1",
    "rouge_l": "ROUGE-L",
    "minhash": "MinHash",
    "acs": "ACS",
    "lcs_words": "LCS words",
    "lcs_characters": "LCS characters",
    "run_words": "longest run",
}


def measure(
    pair: Pair,
    budgets: Sequence[float],
    others: Mapping[str, Control],
    samples: int,
    report: Report,
) -> None:
    """Adds the curve over k, the other ways, and the reduction at a loss of at most `LOSS`.

    Args:
        others: further controls, by the name that the table gives them.
    """
    risky = pair.outcome([], samples, seed=1)
    safe = pair.outcome([], samples, seed=1, model=pair.safe)
    table = Table(
        ["way", *MEASURES.values(), "NCR %", "facts right %", "utility loss %", "nats/token"],
        title=f"T = 1, {samples} samples of {len(pair.passages)} protected passages and of "
        f"{len(pair.towns)} towns with {len(pair.towns[0].facts)} facts each",
    )
    report.tables.append(table)
    ends = risky, safe
    table.rows.append(_row("risky model", risky, ends))
    found = {}
    for k in budgets:
        print(f"k = {k:g}", file=sys.stderr, flush=True)
        found[k] = pair.outcome([guided.Anchored(pair.safe, k=k)], samples, seed=1)
        table.rows.append(_row(f"anchored, k = {k:g}", found[k], ends))
    table.rows.append(_row("safe model", safe, ends))
    for name, control in others.items():
        print(name, file=sys.stderr, flush=True)
        table.rows.append(_row(name, pair.outcome([control], samples, seed=1), ends))
    useful = {k: reduction(one, ends) for k, one in found.items() if loss(one, ends) <= LOSS}
    best = max(useful, key=useful.__getitem__, default=None)
    value = None if best is None else useful[best]
    report.figures += [
        Figure("copying_reduction_at_10_percent_utility_loss", value, "%", ">= 75"),
        Figure("k_of_that_reduction", best, "nats/token"),
    ]


def reduction(one: Outcome, ends: tuple[Outcome, Outcome]) -> float:
    """The normalised copying reduction in percent."""
    risky, safe = ends
    return normalised_reduction(one.copied, risky.copied, safe.copied)


def loss(one: Outcome, ends: tuple[Outcome, Outcome]) -> float:
    """The share of what the risky model knows beyond the safe one that is lost, in percent."""
    risky, safe = ends
    return 100 * (risky.right - one.right) / (risky.right - safe.right)


def _row(name: str, one: Outcome, ends: tuple[Outcome, Outcome]) -> list[str]:
    shown = [number(one.copied[key]) for key in MEASURES]
    numbers = (reduction(one, ends), 100 * one.right, loss(one, ends))
    spent = "–" if one.spent is None else f"{one.spent:.3f}"
    return [name, *shown, *(f"{value:.1f}" for value in numbers), spent]
