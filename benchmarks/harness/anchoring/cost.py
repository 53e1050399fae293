"""Time for each token beside plain decoding with both models."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import guided

from ..figures import Figure, Report, Table, number
from ..speculating.timing import Plan
from .pair import run

K = 0.5
#: What a way's figure is called, and its target.
ANCHORED = {
    "anchored, draft=None": ("plain", "<= 1.1"),
    "anchored, draft=auto": ("drafted", "<= 1"),
    "anchored, draft=safe model": ("drafted_by_safe", ""),
}


@dataclass(frozen=True)
class Work:
    """Two models of one vocabulary and prompts for them.

    Attributes:
        budget: most tokens of an answer.
        guessable: whether there is anything in the answers that a drafter could guess.
    """

    name: str
    risky: guided.Model
    safe: guided.Model
    prompts: Sequence[str]
    budget: int
    guessable: bool = True


def measure(work: Work, plan: Plan, report: Report) -> None:
    """Adds a table of times for each token, and figures of their ratios to the sum of both models.

    All ways take turns in every round; a ratio is the median over the rounds. What is drafted is
    checked by both models, and changes neither law nor ledger.
    """
    control = guided.Anchored(work.safe, k=K)
    ways: dict[str, Callable[..., Any]] = {
        "risky model": lambda **o: run(work.risky, draft=None, **o),
        "safe model": lambda **o: run(work.safe, draft=None, **o),
        "anchored, draft=None": lambda **o: run(work.risky, controls=[control], draft=None, **o),
        "anchored, draft=auto": lambda **o: run(work.risky, controls=[control], draft="auto", **o),
        "anchored, draft=safe model": lambda **o: run(
            work.risky, controls=[control], draft=work.safe, **o
        ),
    }
    for rows in plan.batches:
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number_ in range(0 if plan.warms_up else 1, plan.rounds + 1):
            prompts = [work.prompts[(number_ + i) % len(work.prompts)] for i in range(rows)]
            for name, way in ways.items():
                each = _each(plan, way, prompts, number_, work.budget)
                if number_:
                    times[name].append(each)
        _tell(work, rows, times, report)


def _each(
    plan: Plan, way: Callable[..., Any], prompts: Sequence[str], seed: int, budget: int
) -> float:
    """Seconds for each token."""
    seconds, results = plan.take(
        lambda: way(prompts=prompts, seed=seed, max_new_tokens=budget, batch_size=len(prompts))
    )
    return seconds / sum(len(result.tokens) for result in results)


def _tell(work: Work, rows: int, times: dict[str, list[float]], report: Report) -> None:
    both = [sum(pair) for pair in zip(times["risky model"], times["safe model"], strict=True)]
    table = Table(
        ["way", "ms/token", "of the sum of both models"],
        title=f"{work.name}, batch {rows}, k = {K:g}: time for each token",
    )
    label = f"{work.name.replace(' ', '_').replace('-', '_')}_batch_{rows}"
    for name, seconds in times.items():
        ratio = statistics.median(one / sum_ for one, sum_ in zip(seconds, both, strict=True))
        table.rows.append([name, number(1e3 * statistics.median(seconds)), f"{ratio:.2f}"])
        if name in ANCHORED:
            way, target = ANCHORED[name]
            target = target if way == "plain" or work.guessable else ""
            report.figures.append(Figure(f"{label}_{way}_to_sum", ratio, "x", target))
    report.tables.append(table)
