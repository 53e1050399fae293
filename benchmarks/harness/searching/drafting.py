"""The same searches with guesses ahead and without."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

import guided
from guided.search import SMC, AStar, BestOfN, Search, SearchResult

from ..figures import Figure, Report, Table, number
from .accuracy import solved
from .outcome import Outcome
from .setting import Setting

SEARCHES: dict[str, Search] = {"A*": AStar(), "SMC 16": SMC(16), "best-of-16": BestOfN(16)}


#: Problems that are searched before those that are timed.
OTHERS = 4


def measure(setting: Setting, seeds: Sequence[int], report: Report) -> None:
    """Times with and without drafts, in turn; texts are the same.

    What is remembered of a model begins anew before every time, with a few other problems, so that
    no text of the timed ones is known from an earlier search.
    """
    timed = replace(setting, questions=setting.questions[OTHERS:])
    table = Table(["search", "CPU s, draft=None", "CPU s, auto", "ratio", "same texts"])
    for name, search in SEARCHES.items():
        ratios, plain, drafted, same = [], 0.0, 0.0, 0
        for seed in seeds:
            slow, texts = _solved(setting, timed, search, seed, None)
            fast, others = _solved(setting, timed, search, seed, "auto")
            ratios.append(slow.seconds / fast.seconds)
            plain, drafted = plain + slow.seconds, drafted + fast.seconds
            same += sum(a.text == b.text for a, b in zip(texts, others, strict=True))
        ratio = statistics.median(ratios)
        share = same / (len(seeds) * len(timed.questions))
        table.rows.append([name, f"{plain:.1f}", f"{drafted:.1f}", number(ratio), f"{share:.0%}"])
        figure = f"drafts_speed_up_{name.replace('*', 'star').replace(' ', '_')}"
        report.figures.append(Figure(figure.lower(), ratio, "x", ">= 1.3"))
    table.title = f"with drafts and without; {len(timed.questions)} problems, one at a time"
    report.tables.append(table)
    report.notes.append(
        f"median over the seeds; before every time {OTHERS} other problems are searched, with "
        "nothing remembered of earlier ones"
    )


def _solved(
    setting: Setting, timed: Setting, search: Search, seed: int, draft: str | None
) -> tuple[Outcome, list[SearchResult]]:
    model = guided.Model(setting.model.hf_model, setting.model.tokenizer)
    first = replace(setting, model=model, questions=setting.questions[:OTHERS])
    solved(first, search, seed, draft=draft, at_once=1)
    return solved(replace(timed, model=model), search, seed, draft=draft, at_once=1)
