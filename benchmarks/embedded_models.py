"""How right the embedded models are: the figures that their evaluations wrote beside them.

    python benchmarks/embedded_models.py [--json OUT]

`examples/training/evaluate_json.py --count 300 --guided` and `evaluate_prm.py` measure.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from harness.data import ROOT
from harness.figures import Figure, Report

#: By name: the model, where its figure stands in eval.json, and the target.
FIGURES = {
    "tiny_lm_exact_objects_held_out": ("tiny-lm", "held_out greedy objects", ">= 90"),
    "tiny_lm_fields_handwritten": ("tiny-lm", "handwritten greedy fields", ">= 70"),
    "tiny_prm_pairs_in_order": ("tiny-prm", "pair_accuracy prod", ">= 85"),
}


def percent(model: str, place: str) -> float:
    """A figure of an evaluation."""
    found: Any = json.loads((ROOT / "examples" / "models" / model / "eval.json").read_text())
    for name in place.split():
        found = found[name]
    return float(found["percent"])


def main(given: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="write figures and tables to this file")
    options = parser.parse_args(given)
    report = Report("embedded_models", "Embedded models, as evaluated")
    for name, (model, place, target) in FIGURES.items():
        report.figures.append(Figure(name, percent(model, place), "%", target))
    report.notes.append("intervals and all other figures: the cards in examples/models")
    report.finish(options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
