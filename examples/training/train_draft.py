"""Trains `examples/models/tiny-draft`, a small draft model for tiny-lm, on one processor core.

It learns from the same examples and has tiny-lm's tokenizer, as a draft model must.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from recipe.copying import make_copy_friendly
from recipe.model import Shape, build
from recipe.rows import ExtractionRows
from recipe.saving import save
from recipe.training import Plan, printer, train
from transformers import AutoTokenizer

MODELS = Path(__file__).resolve().parents[1] / "models"
STEPS = 2400
SHAPE = Shape(layers=2, width=64, heads=2, inner=176)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=MODELS / "tiny-draft")
    parser.add_argument("--target", type=Path, default=MODELS / "tiny-lm")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.set_num_threads(1)
    tokenizer: Any = AutoTokenizer.from_pretrained(options.target)
    model = make_copy_friendly(build(SHAPE, len(tokenizer), options.seed), options.seed)
    plan = Plan(steps=options.steps, rows=16, constant=0.5, longest=384, seed=options.seed)
    train(model, ExtractionRows(tokenizer, lists=2), plan, printer(every=100))
    save(model, tokenizer, options.out, max_new_tokens=256)


if __name__ == "__main__":
    main()
