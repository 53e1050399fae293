"""Trains `examples/models/tiny-math`, the word-problem model, on one processor core."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from recipe.copying import make_copy_friendly
from recipe.mathrows import ProblemRows, problem_tokenizer
from recipe.model import Shape, build
from recipe.saving import save
from recipe.training import Plan, printer, train
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER = Path(__file__).resolve().parents[1] / "models" / "tiny-math"
SHAPE = Shape(layers=4, width=128, heads=4, inner=352)
VOCABULARY = 1024

# Runs, one after the other, each from the weights of the one before, rounded to fp16:
# steps, share of them before the rates fall, factor on the rates.
STAGES = ((3000, 0.3, 1.0), (1400, 0.0, 0.7))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="folder of a model to go on from")
    parser.add_argument("--first", type=int, default=0, help="number of the first stage to run")
    options = parser.parse_args()

    torch.set_num_threads(1)
    if options.start:
        tokenizer: Any = AutoTokenizer.from_pretrained(options.start)
        model: Any = AutoModelForCausalLM.from_pretrained(options.start, dtype=torch.float32)
    else:
        tokenizer = problem_tokenizer(VOCABULARY, options.seed)
        model = make_copy_friendly(build(SHAPE, len(tokenizer), options.seed), options.seed)
    for number, (steps, constant, peak) in enumerate(STAGES[options.first :], options.first):
        plan = Plan(
            steps=steps,
            rows=16,
            warmup=40,
            constant=constant,
            muon_rate=0.02 * peak,
            adam_rate=3e-3 * peak,
            seed=options.seed + number,
        )
        train(model, ProblemRows(tokenizer), plan, printer(every=100))
        model.half().float()
    save(model, tokenizer, options.out, max_new_tokens=100)


if __name__ == "__main__":
    main()
