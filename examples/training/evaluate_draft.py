"""Measures how often a draft model says what tiny-lm says, and writes `eval.json` beside it."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import torch
from evaluate_json import handwritten
from recipe.extraction import Example, Extraction
from recipe.model import EOS
from recipe.scoring import Rate
from transformers import AutoModelForCausalLM, AutoTokenizer

MODELS = Path(__file__).resolve().parents[1] / "models"
TEST_SEED = 20_240
LONGEST = 200


@torch.no_grad()
def answer(model: Any, prompt: list[int]) -> list[int]:
    """What the model says greedily after a prompt, `<eos>` included."""
    ids = torch.tensor([prompt])
    made: list[int] = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=LONGEST, do_sample=False
    )[0, len(prompt) :].tolist()
    return made[: made.index(EOS) + 1] if EOS in made else made


@torch.no_grad()
def hits(model: Any, prompt: list[int], said: list[int]) -> list[bool]:
    """For every token of `said` whether the model too likes it best after those before it."""
    logits = model(torch.tensor([[*prompt, *said]])).logits[0]
    best = logits[len(prompt) - 1 : -1].argmax(-1).tolist()
    return [one == other for one, other in zip(best, said, strict=True)]


def passes(right: list[bool], longest: int) -> int:
    """Passes of the large model that an answer takes with chains of `longest` draft tokens."""
    at = count = 0
    while at < len(right):
        run = 0
        while run < longest and at + run < len(right) and right[at + run]:
            run += 1
        at, count = at + run + 1, count + 1
    return count


def agreement(draft: Any, target: Any, tokenizer: Any, rows: list[Example]) -> dict[str, Any]:
    """The share of the target's greedy tokens that are the draft's too, and tokens per pass."""
    right = []
    for row in rows:
        prompt = tokenizer(row.prompt())["input_ids"]
        right.append(hits(draft, prompt, answer(target, prompt)))
    total = sum(map(len, right))
    figures = Rate(sum(map(sum, right)), total).as_json()
    for longest in (4, 8):
        count = sum(passes(one, longest) for one in right)
        figures[f"tokens_per_pass_{longest}"] = round(total / count, 2)
    return figures


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODELS / "tiny-draft")
    parser.add_argument("--target", type=Path, default=MODELS / "tiny-lm")
    parser.add_argument("--count", type=int, default=100, help="generated examples")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(options.target)
    draft, target = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        for folder in (options.model, options.target)
    )
    source = Extraction(random.Random(TEST_SEED), "held")
    generated = [source.example(listed=True) for _ in range(options.count)]
    figures = {}
    for name, rows in {"held_out": generated, "handwritten": handwritten()}.items():
        figures[name] = agreement(draft, target, tokenizer, rows)
        print(name, json.dumps(figures[name]), flush=True)
    text = json.dumps(figures, indent=1) + "\n"
    (options.model / "eval.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
