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

# Two runs, one after the other: the second starts from the weights of the first, rounded to fp16.
# (steps, steps before the rates fall)
STAGES = ((2550, 1700), (8000, 4500))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.set_num_threads(1)
    tokenizer = extraction_tokenizer(VOCABULARY, options.seed)
    model = make_copy_friendly(build(SHAPE, len(tokenizer), options.seed), options.seed)
    for stage, (steps, level) in enumerate(STAGES):
        rows = extraction_rows(tokenizer, begun=stage > 0)
        plan = Plan(steps=steps, rows=20, constant=level / steps, seed=options.seed + stage)
        train(model, rows, plan, printer(every=50))
        model.half().float()
    save(model, tokenizer, options.out, max_new_tokens=256)


if __name__ == "__main__":
    main()
