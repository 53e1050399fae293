"""Accuracy of reward-guided search against what it costs, on the embedded models.

    python benchmarks/search.py [--only PART …] [--quick] [--json OUT]

Held-out word problems that greedy decoding gets right about half the time; every method draws at
temperature 1 from the same model and asks the same process reward. Tokens count everything drawn,
reward passes texts that were scored (each once), reward tokens the positions that the reward model
computed, beginnings in its cache not counted. Times are CPU times of one thread.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from harness.figures import Report
from harness.parts import Parts, measured, parser_of
from harness.searching import accuracy, constraints, drafting, plain_generate, sharpening
from harness.searching.kept import Kept
from harness.searching.setting import setting

Options = argparse.Namespace


def measure_accuracy(options: Options, report: Report) -> None:
    kept = Kept(options.keep, f"{options.problems} problems")
    accuracy.measure(setting(options.problems), options.sizes, options.seeds, kept, report)


def measure_sharpening(options: Options, report: Report) -> None:
    sharpening.measure(setting(options.problems), options.seeds, options.theta, report)


def measure_drafting(options: Options, report: Report) -> None:
    drafting.measure(
        setting(drafting.OTHERS + max(8, options.problems // 6)), options.seeds, report
    )


def measure_peers(options: Options, report: Report) -> None:
    plain_generate.measure(setting(max(8, options.problems // 3)), 8, options.seeds[0], report)


def measure_constraints(options: Options, report: Report) -> None:
    constraints.measure(max(6, options.problems // 6), report)


PARTS: Parts = {
    "accuracy": measure_accuracy,
    "sharpening": measure_sharpening,
    "drafting": measure_drafting,
    "peers": measure_peers,
    "constraints": measure_constraints,
}


def run(options: Options) -> Report:
    """Measures the parts that were asked for."""
    return measured(PARTS, options, "search", "Searches", "accuracy and cost")


def main(given: Sequence[str]) -> None:
    parser = parser_of(__doc__, PARTS)
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--theta", type=float, help="nats, for AdaDec; learned if not given")
    parser.add_argument(
        "--keep",
        type=Path,
        help="file with the outcomes of the accuracy part, for going on after an interruption; "
        "delete it when the code has changed",
    )
    options = parser.parse_args(given)
    if options.quick:
        options.problems, options.sizes, options.seeds = 16, [4], [1]
    torch.set_num_threads(1)
    run(options).finish(options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
