"""The same searches with guesses ahead and without."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from guided.search import SMC, AStar, BestOfN, Search

from ..figures import Figure, Report, Table, number
from .accuracy import solved
from .setting import Setting

SEARCHES: dict[str, Search] = {"A*": AStar(), "SMC 16": SMC(16), "best-of-16": BestOfN(16)}


def measure(setting: Setting, seeds: Sequence[int], report: Report) -> None:
    """Times with and without drafts, in turn; texts are the same. A first round warms up."""
    for search in SEARCHES.values():
        solved(replace(setting, questions=setting.questions[:2]), search, 0, at_once=1)
    table = Table(["search", "CPU s, draft=None", "CPU s, auto", "ratio", "same texts"])
    for name, search in SEARCHES.items():
        ratios, plain, drafted, same = [], 0.0, 0.0, 0
        for seed in seeds:
            slow, texts = solved(setting, search, seed, draft=None, at_once=1)
            fast, others = solved(setting, search, seed, draft="auto", at_once=1)
            ratios.append(slow.seconds / fast.seconds)
            plain, drafted = plain + slow.seconds, drafted + fast.seconds
            same += sum(a.text == b.text for a, b in zip(texts, others, strict=True))
        ratio = statistics.median(ratios)
        share = same / (len(seeds) * len(setting.questions))
        table.rows.append([name, f"{plain:.1f}", f"{drafted:.1f}", number(ratio), f"{share:.0%}"])
        figure = f"drafts_speed_up_{name.replace('*', 'star').replace(' ', '_')}"
        report.figures.append(Figure(figure.lower(), ratio, "x", ">= 1.3"))
    table.title = f"with drafts and without; {len(setting.questions)} problems, one at a time"
    report.tables.append(table)
