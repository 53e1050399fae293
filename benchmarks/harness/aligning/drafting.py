"""Part 3: the same draws with guesses ahead and without."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from guided.search import CARS, ASAp, Search
from guided.search.results import SearchResult

from ..figures import Figure, Report, Table, number
from .tasks import Task


def measure(tasks: Sequence[Task], draws: int, report: Report) -> None:
    """Tokens for a forward pass, and whether the draws are the same."""
    table = Table(
        ["task, method", "tokens/pass, draft=None", "auto", "same draws"],
        title=f"guesses ahead; {draws} draws, one at a time",
    )
    report.tables.append(table)
    for name, search in {"ASAp": ASAp(draws, batch=1), "CARS": CARS(draws, batch=1)}.items():
        same, saved = True, []
        for task in tasks:
            plain, drafted = (_run(task, search, draft) for draft in (None, "auto"))
            agrees = _texts(plain) == _texts(drafted)
            rates = [each.spent["tokens"] / each.spent["passes"] for each in (plain, drafted)]
            saved.append(rates[1] / rates[0])
            same = same and agrees
            cells = [*map(number, rates), "yes" if agrees else "NO"]
            table.rows.append([f"{task.name}, {name}", *cells])
        label = name.lower()
        report.figures += [
            Figure(f"drafts_same_draws_{label}", float(same), "", "== 1"),
            Figure(
                f"drafts_tokens_a_pass_to_plain_{label}",
                statistics.geometric_mean(saved),
                "x",
                ">= 1",
            ),
        ]


def _run(task: Task, search: Search, draft: Any) -> SearchResult:
    return search.run(task.model, task.prompt, seed=1, **{**task.options, "draft": draft})


def _texts(found: SearchResult) -> list[tuple[int, ...]]:
    return [candidate.result.tokens for candidate in found.candidates]
