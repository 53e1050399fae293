"""Masked-diffusion decoding: passes of each accelerator, and what a schema costs and gives.

    python benchmarks/diffusion.py [--only PART …] [--quick] [--json OUT]

The model is the embedded one, `examples/models/tiny-diffusion`. Times are CPU times of one thread.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from harness.diffusing import accelerators, constraints
from harness.figures import Report
from harness.parts import Parts, measured, parser_of

import guided
from guided.diffusion import FastDLLM, LLaDA

Options = argparse.Namespace
MODEL = Path(__file__).resolve().parents[1] / "examples" / "models" / "tiny-diffusion"


def _model() -> guided.DiffusionModel:
    model = guided.load(str(MODEL))
    assert isinstance(model, guided.DiffusionModel)
    return model


def measure_accelerators(options: Options, report: Report) -> None:
    accelerators.measure(_model(), 6 if options.quick else 50, report)


def measure_constraint(options: Options, report: Report) -> None:
    ways = {"static": LLaDA(), "threshold": FastDLLM(threshold=0.9), "one_step": LLaDA(steps=1)}
    constraints.measure(_model(), ways, 4 if options.quick else 40, report)


def measure_wide(options: Options, report: Report) -> None:
    constraints.measure_wide(_model(), 1 if options.quick else 4, report)


def measure_c_like(options: Options, report: Report) -> None:
    constraints.measure_c_like(_model(), 1 if options.quick else 6, report)


PARTS: Parts = {
    "accelerators": measure_accelerators,
    "constraint": measure_constraint,
    "wide": measure_wide,
    "c_like": measure_c_like,
}


def run(options: Options) -> Report:
    """Measures the parts that were asked for."""
    what = "passes, validity, accuracy, constraints"
    return measured(PARTS, options, "diffusion", "Masked-diffusion decoding", what)


def main(given: Sequence[str]) -> None:
    options = parser_of(__doc__, PARTS).parse_args(given)
    torch.set_num_threads(1)
    run(options).finish(options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
