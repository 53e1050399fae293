"""MaskBench: how many schemas an engine gets right, and how long its masks take.

    python benchmarks/maskbench.py [FILE] [--quick] [--json OUT]

Every engine runs in a process of its own with one thread, on the 131,072-token vocabulary. Each
instance is written token by token, as the real tokenizer splits it; before every token the mask is
computed, and a token that is not in the mask rejects the instance. TTFM: schema text to first
mask. TBM: take one token and compute the next mask. Times are around the engine's calls only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from harness import data, engines
from harness.figures import Figure, Report, Table, number
from harness.ratio_table import STATISTICS, ratio_table
from harness.runner import CLOCKS, NotRunError, fill_caches, run_in_turn
from harness.tally import Tally, micro, ratios
from tqdm import tqdm


def run_engines(
    cases: Sequence[data.Case], options: argparse.Namespace
) -> tuple[list[Tally], list[str]]:
    """The cases through all engines, which take turns, and which of them were not run."""
    few = data.sample(cases, options.slow_limit, options.seed)
    wanted = {name: few if name in engines.SLOW else cases for name in options.engines}
    tallies = {name: Tally(name) for name in wanted}
    notes = []
    for name in engines.GUIDED_OPTIONS:
        if name in wanted:
            fill_caches(name, cases, options.time_limit)
    results = run_in_turn(wanted, options.time_limit, options.clock)
    total = sum(map(len, wanted.values()))
    for name, case, result in tqdm(results, total=total, disable=None, leave=False):
        if isinstance(result, NotRunError):
            del tallies[name]
            notes.append(f"{name}: not run, {result}")
            continue
        tallies[name].add(case, result)
        if options.details:
            with open(options.details, "a", encoding="utf-8") as lines:
                lines.write(json.dumps(detail(name, case, result)) + "\n")
    return list(tallies.values()), notes


def detail(engine: str, case: data.Case, result: dict[str, Any]) -> dict[str, Any]:
    """One line of the details file: the result, with its steps summed up."""
    steps = result.get("tbm", [])
    summed = {"steps": len(steps), "tbm_sum": sum(steps), "tbm_max": max(steps, default=0)}
    kept = {key: value for key, value in result.items() if key != "tbm"}
    return {"engine": engine, "name": case.name, **kept, **summed}


def counts_table(tallies: Sequence[Tally]) -> Table:
    """What came of the schemas and the instances."""
    table = Table(["", *(t.engine for t in tallies)], title="Schemas and instances")
    lines: list[tuple[str, list[str]]] = [
        ("schemas tried", [str(t.schemas) for t in tallies]),
        ("coverage %", [f"{t.coverage:.1f}" for t in tallies]),
        ("compiled", [str(t.compiled) for t in tallies]),
        ("refused", [str(t.refusals.total()) for t in tallies]),
        ("crashed", [str(t.crashes.total()) for t in tallies]),
        ("timed out", [str(t.timeouts.total()) for t in tallies]),
        ("valid rejected", [f"{t.wrong_rejections} / {t.valid}" for t in tallies]),
        ("invalid accepted", [f"{t.wrong_acceptances} / {t.invalid}" for t in tallies]),
        ("schemas that wrongly reject", [str(len(t.wrongly_rejecting)) for t in tallies]),
        ("schemas that wrongly accept", [str(len(t.wrongly_accepting)) for t in tallies]),
    ]
    table.rows = [[name, *cells] for name, cells in lines]
    return table


def times_table(tallies: Sequence[Tally]) -> Table:
    """Times of each engine over everything that it compiled, in µs."""
    table = Table(["µs", *(t.engine for t in tallies)], title="Times, over all that compiled")
    for which, pick in (("TTFM", Tally.ttfm_of), ("TBM", Tally.tbm_of)):
        times = [pick(tally) for tally in tallies]
        for how in STATISTICS:
            table.rows.append([f"{which} {how}", *(number(micro(t, how)) for t in times)])
        table.rows.append([f"{which} count", *(str(t.size) for t in times)])
    return table


def figures(ours: Tally, peers: Sequence[Tally]) -> list[Figure]:
    """One figure for every number that a target names, and the ratios.

    They are called after the engine where that is not plain "guided".
    """
    label = ours.engine.removeprefix("guided").replace("-", "_").lstrip("_")
    prefix = f"{label}_" if label else ""
    ttfm, tbm = ours.ttfm_of(), ours.tbm_of()
    if ours.engine.endswith(engines.NEW):
        # All but the time to the first mask is as without.
        return [
            Figure(f"{prefix}ttfm_{how}_ratio_to_llguidance", ratio, "x")
            for how in ("p50", "p99")
            if (ratio := ratios(ours, peers, "ttfm", how).get("llguidance")) is not None
        ]
    found = [
        ("coverage", ours.coverage, "%", ">= 97"),
        ("wrong_acceptances", ours.wrong_acceptance_rate, "% of invalid", "== 0"),
        ("wrong_rejections", ours.wrong_rejection_rate, "% of valid", "<= 0.3"),
        ("crashes", ours.crashes.total(), "schemas", "== 0"),
        ("timeouts", ours.timeouts.total(), "schemas", "== 0"),
        ("tbm_mean", micro(tbm, "mean"), "µs", ""),
        ("tbm_p99", micro(tbm, "p99"), "µs", ""),
        ("tbm_max", micro(tbm, "max") / 1e3, "ms", "<= 5"),
        ("ttfm_p50", micro(ttfm, "p50") / 1e3, "ms", ""),
        ("ttfm_max", micro(ttfm, "max") / 1e3, "ms", "<= 1000"),
    ]
    for how, target in (("mean", "<= 0.6"), ("p50", "<= 0.9"), ("p99", "<= 0.6")):
        ratio = ratios(ours, peers, "tbm", how)
        value = max(ratio.values()) if ratio else None
        found.append((f"tbm_{how}_ratio_to_best_peer", value, "x", target))
    for how, target in (("p50", "<= 1.2"), ("p99", "<= 1")):
        value = ratios(ours, peers, "ttfm", how).get("llguidance")
        found.append((f"ttfm_{how}_ratio_to_llguidance", value, "x", target))
    return [Figure(prefix + name, *rest) for name, *rest in found]


def order_figures(ours: Tally, any_order: Tally) -> list[Figure]:
    """What is judged wrongly for another reason than that members are not in the schema's order.

    Those that are rejected for it are told by the same engine, which accepts them in any order.
    """
    left = ours.but_for(any_order)
    return [
        Figure("coverage_of_documents_in_order", left.coverage, "%", ">= 97"),
        Figure(
            "wrong_rejections_of_documents_in_order",
            left.wrong_rejection_rate,
            "% of valid",
            "<= 0.3",
        ),
    ]


def failure_notes(tally: Tally) -> list[str]:
    """What an engine refused, by kind, and where it crashed or ran out of time."""
    notes = []
    for what, kinds in (
        ("refused", tally.refusals),
        ("crashed", tally.crashes),
        ("timed out", tally.timeouts),
    ):
        if kinds:
            shown = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common(12))
            notes.append(f"{tally.engine} {what}: {shown}")
    return notes


def run(options: argparse.Namespace) -> Report:
    """Runs the engines in turn and gathers the report."""
    path = data.maskbench_path(options.file)
    cases = data.sample(data.load(path), options.limit, options.seed)
    report = Report("maskbench", "MaskBench: JSON Schema masks, 131,072-token vocabulary")
    report.notes.append(
        f"data: {data.where_from(path)}; {len(cases)} schemas, seed {options.seed}; one process "
        f"per engine, one thread, {options.time_limit:g} s per schema to the first mask and per "
        f"instance; {CLOCKS[options.clock]} around the engine's calls; every engine is warmed up "
        "on seven schemas beforehand, which load what engines load at first use, slow ones on one; "
        "engines take turns, 20 schemas each"
    )
    tallies, not_run = run_engines(cases, options)
    report.notes.extend(not_run)
    for tally in tallies:
        if tally.engine in engines.NOTES:
            report.notes.append(f"{tally.engine}: {engines.NOTES[tally.engine]}")
        if tally.schemas < len(cases):
            report.notes.append(
                f"{tally.engine}: a sample of {tally.schemas} schemas, for its slowness"
            )
        report.notes.extend(failure_notes(tally))
    if not tallies:
        return report
    report.tables += [counts_table(tallies), times_table(tallies)]
    peers = [t for t in tallies if not t.engine.startswith("guided")]
    for ours in tallies:
        if ours not in peers:
            if peers and not ours.engine.endswith(engines.NEW):
                report.tables.append(ratio_table(ours, peers, "schemas"))
            report.figures += figures(ours, peers)
    named = {tally.engine: tally for tally in tallies}
    if {"guided", "guided-any-order"} <= named.keys():
        report.figures += order_figures(named["guided"], named["guided-any-order"])
    return report


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", help="a .jsonl or .jsonl.gz file of schemas")
    parser.add_argument("--engines", default=",".join(engines.NAMES), help="comma-separated")
    parser.add_argument("--limit", type=int, help="so many schemas, every data set in proportion")
    parser.add_argument(
        "--slow-limit", type=int, default=400, help=f"for {', '.join(engines.SLOW)}"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sample and of the order")
    parser.add_argument("--time-limit", type=float, default=5.0, help="seconds")
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="40 schemas, under a minute")
    parser.add_argument("--json", help="write figures and tables to this file")
    parser.add_argument("--details", help="append one line of JSON per engine and schema")
    options = parser.parse_args(given)
    options.engines = options.engines.split(",")
    if unknown := set(options.engines) - set(engines.DISTRIBUTIONS):
        known = ", ".join(engines.DISTRIBUTIONS)
        parser.error(f"no engine is called {', '.join(sorted(unknown))}; there are {known}")
    if options.quick:
        options.limit, options.slow_limit = options.limit or 40, 8
    return options


if __name__ == "__main__":
    chosen = arguments(sys.argv[1:])
    run(chosen).finish(chosen.json)
