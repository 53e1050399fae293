"""Measures a JSON-extraction model and writes `eval.json` beside it.

Greedy and T=1 decoding without a constraint; with `--guided` also greedy decoding under the
schema through the SDK.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from recipe.decoding import decode
from recipe.extraction import Example, Extraction
from recipe.fieldlist import object_schema
from recipe.scoring import score
from transformers import AutoModelForCausalLM, AutoTokenizer

EXAMPLES = Path(__file__).resolve().parents[1]
TEST_SEED = 20_240

Answer = Callable[[list[Example]], list[str]]


def handwritten() -> list[Example]:
    """The hand-written test set, which no model is trained on."""
    lines = (EXAMPLES / "data" / "handwritten.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [Example(row["text"], row["fields"], row["expected"], "handwritten") for row in rows]


def generated(split: str, count: int) -> list[Example]:
    """Examples of the generator with a field list, from values of one split."""
    source = Extraction(random.Random(TEST_SEED), split)
    return [source.example(listed=True) for _ in range(count)]


def traits(example: Example) -> list[str]:
    """What is special about an example; `plain` if nothing is."""
    fields = example.fields or ""
    signs = {
        "nested": "object(" in fields,
        "optional": ", optional)" in fields,
        "lower_case": example.text.islower(),
        "loose": example.kind == "generic",
    }
    return [name for name, on in signs.items() if on] or ["plain"]


def by_trait(examples: list[Example], texts: list[str]) -> dict[str, Any]:
    """Scores of the examples with each trait (an example may have several)."""
    groups: dict[str, list[int]] = {}
    for i, example in enumerate(examples):
        for trait in traits(example):
            groups.setdefault(trait, []).append(i)
    return {
        trait: score([texts[i] for i in chosen], [examples[i].value for i in chosen])
        for trait, chosen in sorted(groups.items())
    }


def constrained(model: Any, tokenizer: Any) -> Answer:
    """Greedy answers that obey the schema of each field list."""
    import guided

    wrapped = guided.Model(model, tokenizer)

    def answer(examples: list[Example]) -> list[str]:
        values = guided.generate(
            wrapped,
            [example.prompt() for example in examples],
            schema=[object_schema(example.fields or "") for example in examples],
            whitespace="spaced",
            temperature=0.0,
            max_new_tokens=256,
        )
        return [json.dumps(value) for value in values]

    return answer


def measure(folder: Path, count: int, with_guided: bool) -> dict[str, Any]:
    """All figures by name of the test set and way of decoding."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    sets = {
        "held_out": generated("held", count),
        "training_words": generated("train", count),
        "handwritten": handwritten(),
    }
    ways: dict[str, Answer] = {
        "greedy": lambda rows: decode(model, tokenizer, [row.prompt() for row in rows]),
        "sampled": lambda rows: decode(
            model, tokenizer, [row.prompt() for row in rows], temperature=1.0
        ),
    }
    if with_guided:
        ways["constrained"] = constrained(model, tokenizer)
    figures: dict[str, Any] = {}
    for name, rows in sets.items():
        wanted = [row.value for row in rows]
        texts = {way: answer(rows) for way, answer in ways.items()}
        figures[name] = {way: score(made, wanted) for way, made in texts.items()}
        if name == "held_out":
            figures["held_out_by_trait"] = by_trait(rows, texts["greedy"])
        print(name, json.dumps(figures[name]), flush=True)
    return figures


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=EXAMPLES / "models" / "tiny-lm")
    parser.add_argument("--count", type=int, default=200, help="generated examples per set")
    parser.add_argument("--guided", action="store_true", help="also decode with the SDK")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures = measure(options.model, options.count, options.guided)
    (options.model / "eval.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
