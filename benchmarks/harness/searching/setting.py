"""What searches are measured on: the embedded word-problem model, its process reward, problems."""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

import guided
from guided.rewards import PRM, Scorer

from ..data import ROOT

MODELS = ROOT / "examples" / "models"
PROBLEMS = ROOT / "examples" / "data" / "word_problems.jsonl"
LONGEST = 110


@dataclass(frozen=True)
class Question:
    """A problem as the model reads it, and its answer."""

    prompt: str
    answer: int


@dataclass(frozen=True)
class Setting:
    """The model, and questions that it was not trained on.

    Attributes:
        aggregate: how the scores of steps become one.
    """

    model: guided.Model
    questions: Sequence[Question]
    aggregate: str = "prod"

    @property
    def prompts(self) -> list[str]:
        return [question.prompt for question in self.questions]

    def scorer(self) -> Scorer:
        """A process reward that remembers nothing yet."""
        return Scorer(
            PRM(_reward_model(), tokenizer=self.model.tokenizer), aggregate=self.aggregate
        )

    def right(self, texts: Sequence[str]) -> list[bool]:
        """For every question whether the text ends with its answer."""
        pairs = zip(self.questions, texts, strict=True)
        return [answer_of(text) == question.answer for question, text in pairs]


@functools.cache
def _reward_model() -> torch.nn.Module:
    from transformers import AutoModelForTokenClassification

    folder = MODELS / "tiny-prm"
    return AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32)


def draft_model() -> guided.Model:
    """The small model that guesses what the embedded word-problem model says."""
    return guided.load(str(MODELS / "tiny-math-draft"), dtype=torch.float32)


def answer_of(text: str) -> int | None:
    """The number after `Answer:` at the end of a text."""
    found = re.search(r"Answer: (-?\d+)$", text)
    return int(found[1]) if found else None


def setting(problems: int, device: str = "cpu") -> Setting:
    """So many of the held-out problems, in an order that is the same every time."""
    lines = PROBLEMS.read_text(encoding="utf-8").splitlines()
    questions = [
        Question(f"Question: {row['question']}\n", row["answer"]) for row in map(json.loads, lines)
    ]
    random.Random(0).shuffle(questions)
    if problems > len(questions):
        raise SystemExit(f"there are {len(questions)} problems, not {problems}")
    model = guided.load(str(MODELS / "tiny-math"), dtype=torch.float32)
    model.hf_model.to(device)
    return Setting(model, questions[:problems])
