"""Trains `examples/models/tiny-lm`, the JSON-extraction model, on one processor core."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from recipe.copying import make_copy_friendly
from recipe.model import Shape, build
from recipe.rows import extraction_rows, extraction_tokenizer
from recipe.saving import save
from recipe.training import Plan, printer, train

FOLDER = Path(__file__).resolve().parents[1] / "models" / "tiny-lm"
SHAPE = Shape(layers=4, width=160, heads=5, inner=432)
VOCABULARY = 2048
CONSTANT = 2 / 3  # share of the run before the rates fall


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--steps", type=int, default=2550)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.set_num_threads(1)
    tokenizer = extraction_tokenizer(VOCABULARY, options.seed)
    model = make_copy_friendly(build(SHAPE, len(tokenizer), options.seed), options.seed)
    plan = Plan(steps=options.steps, rows=20, constant=CONSTANT, seed=options.seed)
    train(model, extraction_rows(tokenizer), plan, printer(every=50))
    save(model, tokenizer, options.out, max_new_tokens=256)


if __name__ == "__main__":
    main()
