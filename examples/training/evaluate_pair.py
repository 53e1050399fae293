"""Measures what the risky and the safe model copy and know; writes `eval.json` beside each.

Copying is measured on the protected passages, against their continuations; usefulness on towns of
which only the risky model read the true facts, as the share of facts that are right.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from recipe.decoding import decode
from recipe.scoring import Rate
from recipe.tales import Passage, protected_passages
from recipe.towns import Town, facts_right, towns
from transformers import AutoModelForCausalLM, AutoTokenizer

from guided.copying import longest_run, measure, words_of

MODELS = Path(__file__).resolve().parents[1] / "models"
NAMES = ("tiny-risky", "tiny-safe")
LONGEST = 120


def share_run(text: str, reference: str) -> float:
    """The longest run of words that is copied, as a share of the reference."""
    words, others = words_of(text), words_of(reference)
    return longest_run(words, others).length / len(others)


def copying(texts: list[str], passages: list[Passage]) -> dict[str, Any]:
    """How much of the passages the texts repeat: means, and how many are verbatim."""
    pairs = [(text, one.continuation) for text, one in zip(texts, passages, strict=True)]
    shares = [share_run(*pair) for pair in pairs]
    found = [measure(*pair).as_dict() for pair in pairs]
    means = {name: round(statistics.fmean(one[name] for one in found), 3) for name in found[0]}
    whole = sum(text.strip() == reference.strip() for text, reference in pairs)
    return {
        "verbatim": Rate(whole, len(pairs)).as_json(),
        "over_half_in_one_run": Rate(sum(s > 0.5 for s in shares), len(pairs)).as_json(),
        "longest_run_percent": round(100 * statistics.fmean(shares), 1),
        "measures": means,
    }


def knowledge(texts: list[str], asked: list[Town]) -> dict[str, float]:
    """The share of facts that are right."""
    right = [facts_right(text, town.facts) for text, town in zip(texts, asked, strict=True)]
    return Rate(sum(right), sum(len(town.facts) for town in asked)).as_json()


@torch.no_grad()
def nats_per_token(model: Any, tokenizer: Any, passages: list[Passage]) -> float:
    """Mean surprise at a token of the continuations."""
    total, count = 0.0, 0
    for one in passages:
        begin = len(tokenizer(one.prompt).input_ids)
        ids = torch.tensor([[*tokenizer(one.text).input_ids, tokenizer.eos_token_id]])
        laws = model(ids).logits[0, begin - 1 : -1].log_softmax(-1)
        total -= float(laws.gather(1, ids[0, begin:, None]).sum())
        count += ids.shape[1] - begin
    return round(total / count, 3)


def figures(model: Any, tokenizer: Any, repeats: int) -> dict[str, Any]:
    """Copying and knowledge, greedily and at temperature 1 (`repeats` samples of everything)."""
    passages = protected_passages()
    known = [town for town in towns() if town.known]
    unknown = [town for town in towns() if not town.known]
    found: dict[str, Any] = {"nats_per_token": nats_per_token(model, tokenizer, passages)}
    for way, temperature, times in (("greedy", 0.0, 1), ("sampled", 1.0, repeats)):

        def texts(rows: list[Any], heat: float = temperature) -> list[str]:
            return decode(model, tokenizer, [prompt_of(row) for row in rows], LONGEST, heat)

        found[f"copying_{way}"] = copying(texts(passages * times), passages * times)
        found[f"facts_{way}"] = knowledge(texts(unknown * times), unknown * times)
        found[f"facts_of_known_towns_{way}"] = knowledge(texts(known * times), known * times)
    return found


def prompt_of(row: Passage | Town) -> str:
    """What a model is asked."""
    return row.prompt if isinstance(row, Passage) else row.prompt()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of both models")
    parser.add_argument("--repeats", type=int, default=8, help="samples of each at temperature 1")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in NAMES:
        folder = options.models / name
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        found = figures(model, tokenizer, options.repeats)
        print(name, json.dumps(found), flush=True)
        (folder / "eval.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
