"""Tokens for each pass of the large model, for every drafter and kind of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..figures import Report, Table
from .ways import guided_texts
from .workloads import Workload

#: Makes a drafter for a workload.
Maker = Callable[[Workload], Any]


def drafters() -> dict[str, Maker]:
    """Every drafter of guided, by name."""
    from guided.decoding.drafters.grammar import Grammar
    from guided.decoding.drafters.lookup import Lookup

    return {
        "grammar": lambda workload: Grammar(),
        "lookup": lambda workload: Lookup(workload.model.vocabulary),
    }


def measure(workloads: Sequence[Workload], batches: Sequence[int], report: Report) -> None:
    """Adds the table: a row for each drafter and for all at once as "auto" takes them."""
    columns = [f"{workload.name}, {rows}" for workload in workloads for rows in batches]
    table = Table(["drafter", *columns], title="Tokens for each pass, by workload and batch")
    report.tables.append(table)
    for name, make in {**drafters(), "auto": None}.items():
        cells = [
            _cell(name, make, workload, rows, report) for workload in workloads for rows in batches
        ]
        table.rows.append([name, *cells])


def _cell(name: str, make: Maker | None, workload: Workload, rows: int, report: Report) -> str:
    try:
        draft = "auto" if make is None else _alone(make(workload))
        results = guided_texts(workload, workload.take(rows), draft)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        report.notes.append(f"drafter {name} on {workload.name}: not run, {reason}")
        return "not run"
    tokens = sum(result.usage.tokens for result in results)
    passes = sum(result.usage.passes for result in results)
    return f"{tokens / passes:.2f}"


def _alone(drafter: Any) -> Any:
    from guided.decoding import Speculation

    return Speculation(drafters=[drafter])
