"""Measures the word-problem model and writes `eval.json` beside it."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import torch
from recipe.mathrows import solved
from recipe.scoring import Rate
from recipe.wordproblems import problem
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER = Path(__file__).resolve().parents[1] / "models" / "tiny-math"
TEST_SEED = 77_777


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=FOLDER)
    parser.add_argument("--count", type=int, default=400, help="problems per set")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model: Any = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    figures = {}
    for name, least, most in (("2_to_4_events", 2, 4), ("4_events", 4, 4)):
        rng = random.Random(TEST_SEED)
        problems = [problem(rng, "held", least, most) for _ in range(options.count)]
        for way, temperature in (("greedy", 0.0), ("sampled", 1.0)):
            right = solved(model, tokenizer, problems, temperature)
            figures[f"{name}_{way}"] = Rate(sum(right), len(right)).as_json()
    print(json.dumps(figures, indent=1))
    (options.model / "eval.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
