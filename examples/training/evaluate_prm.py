"""Measures how tiny-prm orders solutions of tiny-math, and writes `eval.json` beside it."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from make_problems import FILE
from recipe.chains import Chains, problem_from_json, sample_chains
from recipe.mathrows import answer_of, solved
from recipe.ranking import (
    AGGREGATIONS,
    Share,
    best_of,
    fault_rates,
    likelihoods,
    pair_accuracy,
    step_scores,
)
from recipe.scoring import Rate
from recipe.wordproblems import Problem
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer

MODELS = Path(__file__).resolve().parents[1] / "models"
TEST_SEED = 60_006

Json = dict[str, Any]


def word_problems(path: Path = FILE) -> list[Problem]:
    """The held-out problems."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [problem_from_json(json.loads(line)) for line in lines]


def majority_right(one: Chains) -> bool:
    """Whether the most frequent answer is right; among equals the first that was sampled."""
    answers = Counter(answer_of(text) for text in one.texts)
    return answers.most_common(1)[0][0] == one.problem.answer


def gain(better: list[bool], worse: list[bool]) -> Json:
    """Difference of two accuracies on the same problems, in points, with its interval."""
    parts = [(float(a) - float(b), 1.0) for a, b in zip(better, worse, strict=True)]
    return Share(tuple(parts)).as_json()


def values(prm: Any, lm: Any, tokenizer: Any, chains: list[Chains]) -> tuple[Json, Json]:
    """Value of every solution by aggregation and by likelihood, and the rates of faults."""
    scores = step_scores(prm, tokenizer, chains)
    found: Json = {
        name: [[reduce(row) for row in rows] for rows in scores]
        for name, reduce in AGGREGATIONS.items()
    }
    found["likelihood"] = likelihoods(lm, tokenizer, chains)
    return found, fault_rates(chains, scores)


def figures(prm: Any, lm: Any, tokenizer: Any, problems: list[Problem], samples: int) -> Json:
    """All that is measured."""
    chains = sample_chains(lm, tokenizer, problems, samples, TEST_SEED)
    greedy = solved(lm, tokenizer, problems)
    right = [[one.right(i) for i in range(samples)] for one in chains]
    found, faults = values(prm, lm, tokenizer, chains)
    best = {name: best_of(chains, value) for name, value in found.items()}
    return {
        "greedy": _rate(greedy),
        "one_sample": Share(tuple((float(sum(row)), float(samples)) for row in right)).as_json(),
        "samples": samples,
        "majority": _rate([majority_right(one) for one in chains]),
        "any_sample": _rate([any(row) for row in right]),
        "pair_accuracy": {k: pair_accuracy(chains, v).as_json() for k, v in found.items()},
        "best_of_n": {k: _rate(v) for k, v in best.items()},
        "best_of_n_minus_greedy": {k: gain(v, greedy) for k, v in best.items()},
        **faults,
    }


def _rate(flags: list[bool]) -> Json:
    return Rate(sum(flags), len(flags)).as_json()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODELS / "tiny-prm")
    parser.add_argument("--lm", type=Path, default=MODELS / "tiny-math")
    parser.add_argument("--count", type=int, help="problems, all of the file by default")
    parser.add_argument("--samples", type=int, default=8, help="solutions per problem")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    lm: Any = AutoModelForCausalLM.from_pretrained(options.lm, dtype=torch.float32)
    prm = AutoModelForTokenClassification.from_pretrained(options.model, dtype=torch.float32)
    problems = word_problems()[: options.count]
    text = json.dumps(figures(prm.eval(), lm, tokenizer, problems, options.samples), indent=1)
    print(text)
    (options.model / "eval.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
