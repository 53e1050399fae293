"""JSON extraction: guided beside Hugging Face, outlines and guidance; constrained beside free."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping

from ..figures import Figure, Report, Table, number
from .timing import Plan, Times, agreement, race, ratio
from .ways import ONE_BY_ONE, PEERS, Way, guided_assistant, guided_way, make_ways
from .workloads import Workload

AUTO, PLAIN = "guided", "guided, draft=None"
#: guided with the draft model that Hugging Face's assisted generation has, and the latter.
HELPED, ASSISTED = "guided + assistant", "assisted + guided"
WAYS = (AUTO, PLAIN, HELPED, *PEERS)
#: Least speed-up over plain `generate` under xgrammar's mask, by batch size.
TARGETS = {1: ">= 2", 4: ">= 1.5", 8: ">= 1.25"}
#: Least share of equal texts at which two times are of the same work.
LIKE = 0.75
REFERENCE = "generate + guided"


def measure(workload: Workload, plan: Plan, report: Report) -> None:
    """Adds the table and the figures of one workload."""
    own = {AUTO: guided_way("auto"), PLAIN: guided_way(None), HELPED: guided_assistant}
    makers = {
        name: make
        for name, make in {**own, **PEERS}.items()
        if plan.ways is None or name in plan.ways
    }
    ways = make_ways(workload, makers, report.notes)
    columns = ["batch, way", "seconds", "this / guided", "same texts"]
    table = Table(columns, title=f"{workload.name}: seconds")
    report.tables.append(table)
    for rows in plan.batches:
        chosen = {n: w for n, w in ways.items() if n not in ONE_BY_ONE or rows <= plan.sequential}
        times = race(chosen, functools.partial(workload.fresh, rows), plan)
        _fill(table, rows, times)
        figures = _figures(workload, rows, times, report)
        # Of ways that were not asked for there is nothing to say.
        report.figures += [f for f in figures if plan.ways is None or f.value is not None]
        plan.keep()


def _fill(table: Table, rows: int, times: Mapping[str, Times]) -> None:
    for name, found in times.items():
        slower = ratio(times, name, AUTO)
        same = f"{100 * agreement(times, name, REFERENCE):.0f} %" if REFERENCE in times else "–"
        shown = "–" if slower is None else number(slower)
        table.rows.append([f"{rows}, {name}", f"{found.median:.3f}", shown, same])


def _figures(
    workload: Workload, rows: int, times: Mapping[str, Times], report: Report
) -> list[Figure]:
    label = f"{workload.name}_batch_{rows}".replace(" ", "_")

    def speed_up(peer: str, target: str = "", own: str = AUTO, called: str = "") -> Figure:
        name = called or peer.replace(" + guided", "").replace(" + ", "_").replace(" ", "_")
        value = ratio(times, peer, own)
        if peer in times and own in times and agreement(times, peer, own) < LIKE:
            report.notes.append(
                f"{peer} on {workload.name}, batch {rows}: no figure, it writes other texts"
            )
            value = None
        return Figure(f"{label}_to_{name}", value, "x", target)

    found = [speed_up("generate + xgrammar", TARGETS.get(rows, ""))]
    if rows == 1:
        found += [
            speed_up("prompt lookup + guided", ">= 1"),
            speed_up(ASSISTED, ">= 1", own=HELPED),
            speed_up(ASSISTED, called="assisted_without_assistant"),
            speed_up("outlines"),
            speed_up("guidance"),
        ]
        if ASSISTED in times:
            report.notes.append(
                f"{label}_to_assisted compares {ASSISTED} with {HELPED}: both have the same small "
                f"draft model; {label}_to_assisted_without_assistant with {AUTO}, which has none"
            )
    if rows == 8:
        found.append(speed_up("prompt lookup + guided", ">= 1.7"))
    return found


def constraint_cost(workload: Workload, plan: Plan, report: Report) -> None:
    """Figures: constrained over unconstrained time of guided, where the texts are the same.

    Unconstrained is guided without schema and drafts. Its text may go on after the object or leave
    the schema, so only prompts whose two texts are the same are timed.
    """
    free = Workload(workload.name, workload.model, workload.prompts, None, workload.budget)
    ways: dict[str, Way] = {
        "free": guided_way(None)(free),
        "constrained": guided_way(None)(workload),
    }
    makers = make_ways(workload, {"drafted": guided_way("auto")}, report.notes)
    rounds = plan.rounds + plan.warms_up
    prompts = iter(_same(ways, workload.fresh(2 * rounds * sum(plan.batches))))
    for rows in plan.batches:
        label = f"{workload.name}_batch_{rows}".replace(" ", "_")
        given = [list(itertools.islice(prompts, rows)) for _ in range(rounds)]
        enough = len(given[-1]) == rows
        times = race({**ways, **makers}, iter(given).__next__, plan) if enough else {}
        for name, target in (("constrained", "<= 1.02"), ("drafted", "<= 1")):
            value = ratio(times, name, "free")
            report.figures.append(Figure(f"{label}_{name}_to_free", value, "x", target))


def _same(ways: Mapping[str, Way], prompts: list[str]) -> list[str]:
    """The prompts with the same text in both ways."""
    pairs = zip(prompts, ways["free"](prompts), ways["constrained"](prompts), strict=True)
    return [prompt for prompt, one, other in pairs if one == other]
