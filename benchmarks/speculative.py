"""What drafts save, and what constraints cost: times beside Hugging Face, outlines and guidance.

    python benchmarks/speculative.py [--only PART …] [--quick] [--brief] [--json OUT]

One process; ways to decode take turns in every round, and ratios are medians over the rounds. The
models are the embedded ones, and one of 59 million random weights that writes known texts
(`harness/speculating/copying_model.py` says how, and what that leaves out). Decoding is greedy
except where free text is sampled. Everything that others do one prompt at a time is done so for
each prompt of a batch.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections.abc import Sequence

import torch
from harness.figures import Report
from harness.parts import Parts, measured, parser_of
from harness.speculating import acceptance, branches, extraction, overhead, workloads, worst_case
from harness.speculating.copying_model import SHAPES
from harness.speculating.timing import Plan
from harness.speculating.workloads import Workload

Options = argparse.Namespace


#: The ways that are compared where there is little time.
BRIEF_WAYS = (
    extraction.AUTO,
    extraction.PLAIN,
    "generate",
    "generate + xgrammar",
    "prompt lookup + guided",
)


def plan(options: Options, report: Report, *batches: int, rounds: int = 0) -> Plan:
    """How much is measured of something that is decoded in those batches, `rounds` at least."""
    return Plan(
        max(options.rounds, rounds),
        [rows for rows in batches if rows in options.batch],
        options.sequential,
        # Machine code and plans of a first run are no part of any way.
        not options.quick,
        time.process_time if options.clock == "cpu" else time.perf_counter,
        options.ways or (BRIEF_WAYS if options.brief else None),
        lambda: report.save(options.json),
    )


def both(options: Options) -> list[Workload]:
    """JSON extraction with the embedded model and, unless it is to be quick, the random one."""
    makers = {"tiny": options.tiny_json, "random": lambda: options.copying().json}
    return [makers[name]() for name in options.models]


def measure_extraction(options: Options, report: Report) -> None:
    for workload in both(options):
        extraction.measure(workload, plan(options, report, 1, 4, 8, 16), report)


def measure_constraints(options: Options, report: Report) -> None:
    for workload, batches in zip(both(options), ((1, 8), (1,)), strict=False):
        extraction.constraint_cost(workload, plan(options, report, *batches), report)


def measure_overhead(options: Options, report: Report) -> None:
    for workload in both(options):
        overhead.measure(workload, plan(options, report, 1), report)


def measure_branches(options: Options, report: Report) -> None:
    count, length, steps = (16, 400, 4) if options.quick else (64, 2000, 16)
    model = options.copying().noise.model
    branches.measure(model, count, length, steps, plan(options, report, 1), report)


def measure_acceptance(options: Options, report: Report) -> None:
    found = [options.tiny_json(), workloads.tiny_math(options.device), options.copying().code]
    acceptance.measure(found, plan(options, report, 1, 8), report)


def measure_worst_case(options: Options, report: Report) -> None:
    free = [] if options.brief else [workloads.tiny_free(options.device)]
    for workload in (*free, options.copying().noise):
        # Few rounds would tell of the machine, not of the drafts: equal passes differ by more.
        rounds = 3 if options.quick or options.brief else 8
        worst_case.measure(workload, plan(options, report, 1, 8, rounds=rounds), report)


PARTS: Parts = {
    "extraction": measure_extraction,
    "constraints": measure_constraints,
    "overhead": measure_overhead,
    "branches": measure_branches,
    "acceptance": measure_acceptance,
    "free_text": measure_worst_case,
}


def run(options: Options) -> Report:
    """Measures the parts that were asked for."""
    random = ["random"] if options.models == ["random"] else []
    whole = "time, memory, tokens for each pass"
    report = measured(PARTS, options, "speculative", "Drafts", whole, random)
    report.notes.append(
        f"medians of {options.rounds} rounds in turn, {options.clock} time, {options.threads} "
        f"torch thread(s), cores {_cores()}, on {options.device}; "
        "ratios above 1: guided takes less time"
    )
    return report


def _cores() -> list[int]:
    found = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count())
    return sorted(found)


def _pin(cores: Sequence[int]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def main(given: Sequence[str]) -> None:
    parser = parser_of(__doc__, PARTS)
    parser.add_argument(
        "--brief",
        action="store_true",
        help="a round or three after a first one of short texts and few ways, random model",
    )
    parser.add_argument("--models", nargs="+", choices=["tiny", "random"], help="for JSON")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--ways", nargs="+", choices=extraction.WAYS, help="compared in extraction")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sequential", type=int, default=8, help="largest batch one by one")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--cores", type=int, nargs="+", help="run on these cores only")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--shape", choices=list(SHAPES), default="60m")
    options = parser.parse_args(given)
    options.models = options.models or (["tiny"] if options.quick else ["tiny", "random"])
    if options.quick:
        options.rounds, options.batch, options.sequential = 1, [1, 4], 1
        options.shape = "7m"
    if options.brief:
        options.rounds, options.batch, options.sequential = 1, [1, 8], 1
        options.models = ["random"]
    if options.cores:
        _pin(options.cores)
    torch.set_num_threads(options.threads)
    options.tiny_json = functools.cache(lambda: workloads.tiny_json(options.device))
    options.copying = lambda: workloads.copying(options.shape, options.device, options.brief)
    run(options).finish(options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
