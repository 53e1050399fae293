"""Measures tiny-diffusion on fresh lists and notes; writes `eval.json` beside it."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from recipe.canvases import TRAINED
from recipe.listops import OPERATIONS, problem
from recipe.records import record
from recipe.scoring import Rate, parsed

import guided
from guided.diffusion import Decoding, FastDLLM, LLaDA

FOLDER = Path(__file__).resolve().parents[1] / "models" / "tiny-diffusion"
LIST_SLOTS, RECORD_SLOTS = 16, 32
WAYS: dict[str, Decoding] = {"static": LLaDA(), "threshold_0.9": FastDLLM(threshold=0.9)}


@dataclass(frozen=True)
class Question:
    """A prompt, the slots of its canvas, and whether a text answers it."""

    prompt: str
    slots: int
    is_right: Callable[[str], bool]


def list_questions(name: str, count: int, rng: random.Random) -> list[Question]:
    """Fresh problems of one operation."""
    operation = OPERATIONS[name]
    asked = [problem(name, rng) for _ in range(count)]
    return [
        Question(
            operation.prompt(one), LIST_SLOTS, lambda text, one=one: operation.scored(one, text)
        )
        for one in asked
    ]


def record_questions(split: str, count: int, rng: random.Random) -> list[Question]:
    """Fresh notes with words that training saw, or with held-out ones."""
    made = [record(rng, split) for _ in range(count)]
    return [
        Question(one.prompt(), RECORD_SLOTS, lambda text, one=one: parsed(text) == one.wanted)
        for one in made
    ]


def measured(model: Any, asked: list[Question]) -> dict[str, Any]:
    """The share of right answers and the passes of each way to decode."""
    found: dict[str, Any] = {}
    for name, way in WAYS.items():
        results = guided.run(
            model,
            [question.prompt for question in asked],
            max_new_tokens=asked[0].slots,
            decoding=way,
        )
        hits = sum(q.is_right(result.text) for q, result in zip(asked, results, strict=True))
        passes = sum(result.usage.passes for result in results) / len(asked)
        found[name] = Rate(hits, len(asked)).as_json() | {"passes": round(passes, 2)}
    return found


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=FOLDER)
    parser.add_argument("--count", type=int, default=60, help="questions of each kind")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, rng = guided.load(str(options.model)), random.Random("evaluation")
    found = {name: measured(model, list_questions(name, options.count, rng)) for name in TRAINED}
    for split, name in (("train", "json"), ("held", "json_held_out_words")):
        found[name] = measured(model, record_questions(split, options.count, rng))
    for name, each in found.items():
        print(name, json.dumps(each), flush=True)
    (options.model / "eval.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
