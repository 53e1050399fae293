"""Problems with solutions that a model wrote: what a reward model learns from."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM

from .checking import first_wrong
from .mathrows import answer_of
from .model import EOS
from .sampling import Sampler
from .wordproblems import Problem, problem

LONGEST = 100
EVENTS = 4
BATCH, LARGE_BATCH = 64, 1024  # prompts that are continued together


@dataclass(frozen=True)
class Chains:
    """A problem and solutions to it; `ended` says which of them stopped by themselves."""

    problem: Problem
    texts: tuple[str, ...]
    ended: tuple[bool, ...]

    def lines(self, number: int) -> list[str]:
        """The complete lines of one solution."""
        lines = self.texts[number].split("\n")
        return lines if self.ended[number] else lines[:-1]

    def right(self, number: int) -> bool:
        """Whether one solution has the right final answer."""
        return answer_of(self.texts[number]) == self.problem.answer

    def first_wrong(self, number: int) -> int | None:
        """Number of the first wrong line of one solution, None if there is none."""
        return first_wrong(self.lines(number), self.problem.lines())


def problems(count: int, seed: int, split: str = "train") -> list[Problem]:
    """Different problems of `EVENTS` events about people whose names are in `split`."""
    rng = random.Random(seed)
    made: dict[str, Problem] = {}
    while len(made) < count:
        one = problem(rng, split, EVENTS, EVENTS)
        made[one.question] = one
    return list(made.values())


def sample_chains(
    model: LlamaForCausalLM,
    tokenizer: Any,
    asked: list[Problem],
    count: int,
    seed: int,
    temperature: float = 1.0,
) -> list[Chains]:
    """`count` sampled solutions of every problem, on the device of the model."""
    generator = torch.Generator(model.device).manual_seed(seed)
    prompts = [tokenizer(one.prompt()).input_ids for one in asked]
    batch = BATCH if model.device.type == "cpu" else LARGE_BATCH
    drawn = Sampler(model).sample(prompts, count, generator, LONGEST, temperature, batch)
    made = []
    for one, rows in zip(asked, drawn, strict=True):
        ended = tuple(row[-1] == EOS for row in rows)
        texts = tuple(tokenizer.decode([i for i in row if i != EOS]) for row in rows)
        made.append(Chains(one, texts, ended))
    return made


def write_chains(path: Path, chains: list[Chains]) -> None:
    """Writes one JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        for one in chains:
            row = problem_as_json(one.problem) | {"texts": one.texts, "ended": one.ended}
            file.write(json.dumps(row) + "\n")


def read_chains(path: Path) -> list[Chains]:
    """Reads what `write_chains` wrote."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Chains(problem_from_json(row), tuple(row["texts"]), tuple(row["ended"])) for row in rows
    ]


def problem_as_json(one: Problem) -> dict[str, Any]:
    """A problem as the files have it: question, steps, answer."""
    return {"question": one.question, "steps": list(one.steps), "answer": one.answer}


def problem_from_json(row: dict[str, Any]) -> Problem:
    """The problem of such an object."""
    return Problem(row["question"], tuple(row["steps"]), row["answer"])
