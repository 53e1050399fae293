"""How well step scores order right solutions above wrong ones of the same problem."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from .batches import by_length, padded
from .chains import Chains
from .scoring import Rate
from .trees import RIGHT

ROUNDS = 2000  # of the bootstrap
THRESHOLD = 0.5

Scores = list[list[list[float]]]
"""Per problem and solution the probability of every line that it is right."""

AGGREGATIONS: dict[str, Callable[[list[float]], float]] = {
    "min": min,
    "prod": math.prod,
    "last": lambda scores: scores[-1],
}


@torch.inference_mode()
def step_scores(model: Any, tokenizer: Any, chains: list[Chains], batch: int = 64) -> Scores:
    """Probabilities of the label `right` at the line break after each line.

    Every line ends with a line break, the answer too. A solution that was cut off counts its last
    line as it stands.
    """
    (line_break,) = tokenizer("\n", add_special_tokens=False).input_ids
    rows, sizes = [], []
    for one in chains:
        prompt = tokenizer(one.problem.prompt()).input_ids
        for text in one.texts:
            rows.append(prompt + tokenizer(f"{text}\n", add_special_tokens=False).input_ids)
            sizes.append(len(prompt))
    found: list[list[float]] = [[] for _ in rows]
    for chosen in by_length(rows, batch):
        logits = model(input_ids=padded([rows[i] for i in chosen]).to(model.device)).logits.float()
        for i, law in zip(chosen, logits.softmax(-1)[..., RIGHT].tolist(), strict=True):
            ends = [at for at, token in enumerate(rows[i]) if token == line_break]
            found[i] = [law[at] for at in ends if at >= sizes[i]]
    count = iter(found)
    return [[next(count) for _ in one.texts] for one in chains]


@torch.inference_mode()
def likelihoods(
    model: Any, tokenizer: Any, chains: list[Chains], batch: int = 64
) -> list[list[float]]:
    """Per problem and solution the log probability that the language model gives to its text."""
    rows, sizes = [], []
    for one in chains:
        prompt = tokenizer(one.problem.prompt()).input_ids
        for text, ended in zip(one.texts, one.ended, strict=True):
            said = tokenizer(text, add_special_tokens=False).input_ids
            rows.append(prompt + said + [tokenizer.eos_token_id] * ended)
            sizes.append(len(prompt))
    sums = [0.0] * len(rows)
    for chosen in by_length(rows, batch):
        ids = padded([rows[i] for i in chosen])
        logs = model(input_ids=ids).logits[:, :-1].float().log_softmax(-1)
        said = logs.gather(-1, ids[:, 1:, None])[..., 0]
        for i, row in zip(chosen, said, strict=True):
            sums[i] = float(row[sizes[i] - 1 : len(rows[i]) - 1].sum())
    count = iter(sums)
    return [[next(count) for _ in one.texts] for one in chains]


@dataclass(frozen=True)
class Share:
    """A ratio of sums over problems, with a 95 % bootstrap interval over problems."""

    parts: tuple[tuple[float, float], ...]

    def value(self) -> float:
        return _ratio(list(self.parts))

    def as_json(self) -> dict[str, float]:
        rng = random.Random(0)
        count = len(self.parts)
        drawn = sorted(_ratio(rng.choices(self.parts, k=count)) for _ in range(ROUNDS))
        ends = {"low": drawn[int(0.025 * ROUNDS)], "high": drawn[int(0.975 * ROUNDS) - 1]}
        numbers = {"percent": self.value()} | ends
        total = round(sum(below for _, below in self.parts))
        return {"n": total} | {key: round(100 * v, 1) for key, v in numbers.items()}


def _ratio(parts: list[tuple[float, float]]) -> float:
    below = sum(part[1] for part in parts)
    return sum(part[0] for part in parts) / below if below else 0.0


def pair_accuracy(chains: list[Chains], values: list[list[float]]) -> Share:
    """How often a right solution has a higher value than a wrong one of its problem; ties half."""
    parts = []
    for one, row in zip(chains, values, strict=True):
        right = [v for i, v in enumerate(row) if one.right(i)]
        wrong = [v for i, v in enumerate(row) if not one.right(i)]
        won = sum((a > b) + 0.5 * (a == b) for a in right for b in wrong)
        parts.append((won, float(len(right) * len(wrong))))
    return Share(tuple(parts))


def best_of(chains: list[Chains], values: list[list[float]]) -> list[bool]:
    """Per problem whether the solution of the highest value is right."""
    return [
        one.right(max(range(len(row)), key=row.__getitem__))
        for one, row in zip(chains, values, strict=True)
    ]


def fault_rates(chains: list[Chains], scores: Scores) -> dict[str, Any]:
    """How many first wrong lines score below `THRESHOLD`, and how many right ones before them."""
    wrong, right = [], []
    for one, rows in zip(chains, scores, strict=True):
        for number, row in enumerate(rows):
            fault = one.first_wrong(number)
            right += row[:fault]
            wrong += [] if fault is None else row[fault : fault + 1]
    caught, alarms = (sum(p < THRESHOLD for p in found) for found in (wrong, right))
    return {
        "first_wrong_caught": Rate(caught, len(wrong)).as_json(),
        "false_alarms": Rate(alarms, len(right)).as_json(),
    }
