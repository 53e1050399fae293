"""Aligned sampling: distances to the exact conditional law, costs beside others, drafts.

    python benchmarks/aligned.py [--only PART …] [--quick] [--plot SVG] [--json OUT]

Languages are small enough that the model's law conditioned on them is known exactly. Times are CPU
times of one thread.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import torch
from harness.aligning import distances, drafting, peers
from harness.aligning.constraints import LONGEST
from harness.aligning.distances import Effort
from harness.aligning.languages import explore
from harness.aligning.plot import write_plot
from harness.aligning.tasks import embedded, five_bits, tasks
from harness.figures import Report
from harness.parts import Parts, measured, parser_of
from harness.speculating.timing import Plan

Options = argparse.Namespace
LITTLE = Effort(512, (1, 5, 20), 2, (1, 5), 200, 300)


def measure_distances(options: Options, report: Report) -> None:
    effort = LITTLE if options.quick else Effort()
    found = distances.measure(tasks(options.quick), effort, report)
    if options.plot:
        write_plot(found, options.plot)


def measure_genlm(options: Options, report: Report) -> None:
    plan = Plan(1, clock=time.process_time)
    few, longest = (1, 4) if options.quick else (4, LONGEST)
    peers.measure_steps(few, longest, plan, report)
    chosen = [task for task in tasks(options.quick) if task.is_shared]
    known = [(task, explore(task, Effort().prefixes)) for task in chosen]
    peers.measure_variance(known, 5, 6 if options.quick else 250, report)


def measure_reference(options: Options, report: Report) -> None:
    plan = Plan(1 if options.quick else 2, clock=time.process_time)
    some = [five_bits(), *embedded()[: 0 if options.quick else 1]]
    peers.measure_draws(some, 20 if options.quick else 100, plan, report)


def measure_drafts(options: Options, report: Report) -> None:
    drafting.measure(tasks(options.quick), 10 if options.quick else 30, report)


PARTS: Parts = {
    "distances": measure_distances,
    "genlm": measure_genlm,
    "reference": measure_reference,
    "drafts": measure_drafts,
}


def run(options: Options) -> Report:
    """Measures the parts that were asked for."""
    return measured(PARTS, options, "aligned", "Aligned sampling", "distances and costs")


def main(given: Sequence[str]) -> None:
    parser = parser_of(__doc__, PARTS)
    parser.add_argument("--plot", help="write divergences against model calls to this SVG file")
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    run(options).finish(options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
