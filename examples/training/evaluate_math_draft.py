"""Measures how near a draft model's law is to tiny-math's, and writes `eval.json` beside it."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import torch
from recipe.decoding import decode
from recipe.model import EOS
from recipe.wordproblems import problem
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

MODELS = Path(__file__).resolve().parents[1] / "models"
TEST_SEED = 77_777


@torch.no_grad()
def laws(model: Any, prompt: list[int], said: list[int]) -> Tensor:
    """The law `[len(said), vocabulary]` before every token of `said`."""
    found: Tensor = model(torch.tensor([[*prompt, *said]])).logits[0, len(prompt) - 1 : -1]
    return found.softmax(-1)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODELS / "tiny-math-draft")
    parser.add_argument("--target", type=Path, default=MODELS / "tiny-math")
    parser.add_argument("--count", type=int, default=200, help="problems")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer: Any = AutoTokenizer.from_pretrained(options.target)
    small, large = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        for folder in (options.model, options.target)
    )
    rng = random.Random(TEST_SEED)
    prompts = [problem(rng, "held").prompt() for _ in range(options.count)]
    common, same = [], []
    for prompt, text in zip(prompts, decode(large, tokenizer, prompts, 100, 1.0), strict=True):
        begin = tokenizer(prompt).input_ids
        said = [*tokenizer(text, add_special_tokens=False).input_ids, EOS]
        one, other = laws(small, begin, said), laws(large, begin, said)
        common += torch.minimum(one, other).sum(-1).tolist()
        same += (one.argmax(-1) == other.argmax(-1)).tolist()
    figures = {
        "tokens": len(same),
        "common_share_of_laws_percent": round(100 * sum(common) / len(common), 1),
        "same_likeliest_token_percent": round(100 * sum(same) / len(same), 1),
    }
    print(json.dumps(figures))
    text = json.dumps(figures, indent=1) + "\n"
    (options.model / "eval.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
