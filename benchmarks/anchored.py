"""Anchored decoding on the embedded pair: its cost, its ledgers, what is copied and what is known.

    python benchmarks/anchored.py [--only PART …] [--quick] [--json OUT]

The risky model has learned passages by heart, and facts that the safe model does not know; both
are small and made for this (`examples/models/tiny-risky`). Everything is drawn at temperature 1.
Copying is measured on the first 50 words of a continuation; the normalised copying reduction (NCR)
is the mean over six measures of how much of the gap between the two models is closed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import torch
from harness import models
from harness.anchoring import byte_cost, cost, curve, ledgers
from harness.anchoring.cost import Work
from harness.anchoring.pair import Pair, pair
from harness.figures import Report
from harness.parts import Parts, measured, parser_of
from harness.speculating.timing import Plan

import guided
from guided.controls import CPDelta, CPFuse, MemFree
from guided.controls.protocol import Control

Options = argparse.Namespace
BUDGETS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
QUICK_BUDGETS = (0.1, 0.3, 1.0)
LEDGER_BUDGETS = (0.05, 0.2, 0.5, 1.0, 3.0)
#: Budget of the variants, large enough that something is copied.
OTHERS_K = 1.0
PAIRS = ("tiny", "random")
#: Hidden size and layers of two networks with random weights, a large one and a small one.
RANDOM = ((768, 8), (256, 4))


def measure_cost(options: Options, report: Report) -> None:
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    plan = Plan(options.rounds, options.batch, warms_up=not options.quick, clock=clock)
    if "tiny" in options.pairs:
        own = pair()
        towns = [town.prompt for town in own.towns]
        cost.measure(Work("tiny pair", own.risky, own.safe, towns, 80), plan, report)
    if "random" in options.pairs:
        cost.measure(random_pair(), plan, report)
        report.notes.append(
            "The random pair writes noise, in which nothing can be guessed: with drafts it shows "
            "what vain guesses cost."
        )


def measure_bytes(options: Options, report: Report) -> None:
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    rounds, budget = (1, 8) if options.quick else (min(options.rounds, 5), 40)
    plan = Plan(rounds, options.batch, warms_up=True, clock=clock)
    own = pair()
    towns = [town.prompt for town in own.towns]
    byte_cost.measure(Work("tiny pair", own.risky, own.safe, towns, budget), plan, report)


def random_pair() -> Work:
    """Two networks of the size that the cost of a pass hides that of everything else."""
    tokenizer = models.small_tokenizer(4096)
    large, small = (
        guided.Model(models.random_llama(tokenizer, *shape, seed=seed), tokenizer)
        for seed, shape in enumerate(RANDOM)
    )
    prompts = [f'{{"type": "object", "number": {number}' for number in range(32)]
    return Work("random pair", large, small, prompts, 32, guessable=False)


def measure_ledgers(options: Options, report: Report) -> None:
    ledgers.measure(pair(), LEDGER_BUDGETS, options.trajectories, report)


def measure_curve(options: Options, report: Report) -> None:
    own = pair(options.count)
    budgets = QUICK_BUDGETS if options.quick else BUDGETS
    beside = {} if options.quick else others(own)
    curve.measure(own, budgets, beside, options.samples, report)
    if not beside:
        return
    report.notes += [
        "CP-Fuse and CP-Delta are made for two models with protected texts of their own; here the "
        "second one is the safe model, which has none.",
        "MemFree knows the protected passages; the others do not.",
    ]


def others(own: Pair) -> dict[str, Control]:
    """Anchored decoding without one of its parts, its pathwise form, and other methods."""
    texts = [passage.prompt + passage.continuation for passage in own.passages]
    return {
        f"anchored, k = {OTHERS_K:g}, no debt": guided.Anchored(own.safe, k=OTHERS_K, debt=None),
        f"static, k = {OTHERS_K:g}": guided.Anchored(own.safe, k=OTHERS_K, schedule="static"),
        f"global, k = {OTHERS_K:g}": guided.Anchored(own.safe, k=OTHERS_K, schedule="global"),
        f"pathwise, k = {OTHERS_K:g}": guided.Anchored(own.safe, k=OTHERS_K, form="pathwise"),
        "CP-Fuse": CPFuse(own.safe),
        "CP-Delta, kl": CPDelta(own.safe, "kl"),
        "CP-Delta, max": CPDelta(own.safe, "max"),
        "MemFree, n = 10": MemFree.of_texts(texts, own.risky, n=10, prompt=True),
        "MemFree, n = 4": MemFree.of_texts(texts, own.risky, n=4, prompt=True),
    }


PARTS: Parts = {
    "cost": measure_cost,
    "bytes": measure_bytes,
    "ledgers": measure_ledgers,
    "curve": measure_curve,
}


def run(options: Options) -> Report:
    """Measures the parts that were asked for."""
    whole = "cost, ledgers, copying and knowledge"
    return measured(PARTS, options, "anchored", "Anchored decoding", whole)


def main(given: Sequence[str]) -> None:
    parser = parser_of(__doc__, PARTS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS), help="for times")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--trajectories", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=4, help="of every prompt, for the curve")
    parser.add_argument("--count", type=int, help="of passages and towns, for the curve; all")
    options = parser.parse_args(given)
    if options.quick:
        options.rounds, options.batch, options.trajectories = 3, [1], 250
        options.samples, options.count, options.pairs = 1, 8, ["tiny"]
    torch.set_num_threads(1)
    run(options).finish(options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
