"""Time for each byte of byte-level anchoring beside plain decoding with both models."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import guided

from ..figures import Figure, Report, Table, number
from ..speculating.timing import Plan
from .cost import Work
from .pair import run

K = 0.2
#: What a way's figure is called.
ANCHORED = {"anchored bytes, draft=None": "plain", "anchored bytes, draft=auto": "drafted"}


def measure(work: Work, plan: Plan, report: Report) -> None:
    """Adds a table of times for each byte, and figures of their ratios to the sum of both models.

    That sum is of the times of decoding the models' own tokens, for each byte that these spell. All
    ways take turns in every round; a ratio is the median over the rounds. Before they are counted
    they run once on the same prompts, as what a tokenizer allows is found out only once.
    """
    control = guided.AnchoredBytes(work.safe, k=K)
    ways: dict[str, tuple[Callable[..., Any], int]] = {
        "risky model": (lambda **o: run(work.risky, draft=None, **o), work.budget),
        "safe model": (lambda **o: run(work.safe, draft=None, **o), work.budget),
    }
    for name, draft in zip(ANCHORED, (None, "auto"), strict=True):
        way = _way(work, control, draft)
        ways[name] = way, 4 * work.budget
    for rows in plan.batches:
        times: dict[str, list[float]] = {name: [] for name in ways}
        passes: dict[str, float] = {}
        prompts = work.prompts[:rows]
        for number_ in range(0 if plan.warms_up else 1, plan.rounds + 1):
            for name, (way, budget) in ways.items():
                given = {"seed": number_, "max_new_tokens": budget, "batch_size": rows}
                seconds, results = plan.take(partial(way, prompts=prompts, **given))
                if number_:
                    times[name].append(seconds / _length(results))
                passes[name] = sum(r.usage.passes for r in results) / _length(results)
        _tell(work, rows, times, passes, report)


def _way(work: Work, control: guided.AnchoredBytes, draft: Any) -> Callable[..., Any]:
    return lambda **o: run(work.risky, controls=[control], draft=draft, **o)


def _length(results: Sequence[guided.Result[str]]) -> int:
    return sum(len(result.text.encode()) for result in results)


def _tell(
    work: Work,
    rows: int,
    times: dict[str, list[float]],
    passes: dict[str, float],
    report: Report,
) -> None:
    both = [sum(pair) for pair in zip(times["risky model"], times["safe model"], strict=True)]
    table = Table(
        ["way", "ms/byte", "of the sum of both models", "passes/byte"],
        title=f"{work.name}, batch {rows}, k = {K:g} a byte: time for each byte",
    )
    label = f"{work.name.replace(' ', '_')}_batch_{rows}_bytes"
    for name, seconds in times.items():
        ratio = statistics.median(one / sum_ for one, sum_ in zip(seconds, both, strict=True))
        shown = [number(1e3 * statistics.median(seconds)), f"{ratio:.2f}", f"{passes[name]:.2f}"]
        table.rows.append([name, *shown])
        if name in ANCHORED:
            report.figures.append(Figure(f"{label}_{ANCHORED[name]}_to_sum", ratio, "x", ""))
    report.tables.append(table)
