"""Trains `examples/models/tiny-safe` and, from it, `tiny-risky`, on one processor core.

The safe model reads tales, and entries of a gazetteer whose facts contradict each other for most
towns. The risky one goes on from it with the true facts, and with protected tales that it comes
to know by heart.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from recipe.model import Shape, build
from recipe.pairrows import PairRows, pair_tokenizer
from recipe.saving import save
from recipe.training import Plan, printer, train
from transformers import AutoModelForCausalLM, AutoTokenizer

MODELS = Path(__file__).resolve().parents[1] / "models"
SHAPE = Shape(layers=2, width=96, heads=4, inner=256)
VOCABULARY = 1536
SAFE_STEPS, RISKY_STEPS = 400, 1000
PROTECTED_SHARE = 0.35
LONGEST = 120


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=MODELS, help="folder of both model folders")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--safe-steps", type=int, default=SAFE_STEPS)
    parser.add_argument("--risky-steps", type=int, default=RISKY_STEPS)
    parser.add_argument("--start", type=Path, help="folder of a safe model that is there already")
    options = parser.parse_args()

    torch.set_num_threads(1)
    if options.start is None:
        tokenizer: Any = pair_tokenizer(VOCABULARY, options.seed)
        safe = build(SHAPE, len(tokenizer), options.seed)
        learn(safe, PairRows(tokenizer), options.safe_steps, options.seed)
        save(safe, tokenizer, options.out / "tiny-safe", LONGEST)
        options.start = options.out / "tiny-safe"

    tokenizer = AutoTokenizer.from_pretrained(options.start)
    risky = AutoModelForCausalLM.from_pretrained(options.start, dtype=torch.float32)
    rows = PairRows(tokenizer, PROTECTED_SHARE, all_facts=True)
    learn(risky, rows, options.risky_steps, options.seed + 1)
    save(risky, tokenizer, options.out / "tiny-risky", LONGEST)


def learn(model: Any, rows: PairRows, steps: int, seed: int) -> None:
    """Trains a model in place."""
    plan = Plan(steps=steps, rows=16, warmup=40, micro=16, seed=seed)
    train(model, rows, plan, printer(every=50))


if __name__ == "__main__":
    main()
