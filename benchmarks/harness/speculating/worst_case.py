"""Text in which there is nothing to copy: drafting must not cost more than it may."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from ..figures import Figure, Report
from .timing import Plan, race, ratio
from .ways import Way, guided_texts, make_ways
from .workloads import Workload


def measure(workload: Workload, plan: Plan, report: Report) -> None:
    """Figures: time of plain decoding over that of `draft="auto"`, sampling at temperature 1."""

    def texts(draft: Any, seeds: Iterator[int], prompts: Sequence[str]) -> list[str]:
        # Both ways get the same seeds, and no text comes twice, which drafts would remember.
        results = guided_texts(workload, prompts, draft, temperature=1.0, seed=next(seeds))
        return [result.text for result in results]

    def sampled(draft: Any) -> Way:
        return functools.partial(texts, draft, itertools.count(3))

    makers = {"plain": lambda _: sampled(None), "auto": lambda _: sampled("auto")}
    ways = make_ways(workload, makers, report.notes)
    for rows in plan.batches:
        times = race(ways, functools.partial(workload.take, rows), plan) if len(ways) == 2 else {}
        label = f"{workload.name}_batch_{rows}".replace(" ", "_")
        value = ratio(times, "plain", "auto")
        report.figures.append(Figure(f"{label}_drafted_to_plain", value, "x", ">= 0.97"))
        plan.keep()
