"""Trains `examples/models/tiny-math`, the word-problem model, on one processor core."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from recipe.copying import make_copy_friendly
from recipe.mathrows import ProblemRows, problem_tokenizer
from recipe.model import Shape, build
from recipe.saving import save
from recipe.training import Plan, printer, train

FOLDER = Path(__file__).resolve().parents[1] / "models" / "tiny-math"
SHAPE = Shape(layers=4, width=128, heads=4, inner=352)
VOCABULARY = 1024


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.set_num_threads(1)
    tokenizer = problem_tokenizer(VOCABULARY, options.seed)
    model = make_copy_friendly(build(SHAPE, len(tokenizer), options.seed), options.seed)
    plan = Plan(steps=options.steps, rows=16, warmup=40, constant=0.3, seed=options.seed)
    train(model, ProblemRows(tokenizer), plan, printer(every=100))
    save(model, tokenizer, options.out, max_new_tokens=100)


if __name__ == "__main__":
    main()
