"""What is decoded with which model: prompts, schema, budget, and the assistant for peers."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

import guided

from .. import models
from ..data import ROOT
from . import texts
from .copying_model import SHAPES, copying_llama

EMBEDDED = ROOT / "examples" / "models"
#: Shapes that get a part of the vocabulary and run in float32.
SMALL = ("60m", "7m")
VOCABULARY = 32_768
#: Share of the positions where the copying assistant writes another token than the large model.
WRONG = 0.15
#: Enough for all rounds of all batch sizes.
PROMPTS = 256
#: Enough for a first round and one more of two batch sizes.
BRIEF = 24
PROBLEMS = 16


@dataclass(frozen=True)
class Workload:
    """Prompts of one kind for one model.

    Attributes:
        schema: what the answers follow; None: free text.
        budget: most tokens of an answer.
        assistant: a smaller model of the same vocabulary, if there is one.
    """

    name: str
    model: guided.Model
    prompts: Sequence[str]
    schema: str | None
    budget: int
    assistant: PreTrainedModel | None = None
    # The first one is for trying a way out.
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    def fresh(self, rows: int) -> list[str]:
        """Prompts that were not handed out before: nobody may remember what answers them.

        Raises:
            IndexError: all were handed out.
        """
        return [self.prompts[next(self._count)] for _ in range(rows)]

    def take(self, rows: int) -> list[str]:
        """The first prompts; from the start again where there are too few."""
        return [self.prompts[row % len(self.prompts)] for row in range(rows)]


def _embedded(name: str, device: str) -> guided.Model:
    model = guided.load(str(EMBEDDED / name), dtype=torch.float32)
    model.hf_model.to(device)
    return model


def _assistant(name: str, device: str) -> PreTrainedModel | None:
    """An embedded draft model, if it is here."""
    folder = EMBEDDED / name
    if not folder.is_dir():
        return None
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.to(device).eval()


def tiny_json(device: str = "cpu") -> Workload:
    """JSON extraction with the embedded model."""
    model, assistant = _embedded("tiny-lm", device), _assistant("tiny-draft", device)
    return Workload("tiny-lm JSON", model, texts.people(PROMPTS), texts.PERSON, 96, assistant)


def tiny_free(device: str = "cpu") -> Workload:
    """Free text of the embedded model, in which there is little to copy."""
    prompts = texts.word_problems(PROBLEMS)
    return Workload("tiny-lm free text", _embedded("tiny-lm", device), prompts, None, 64)


def tiny_math(device: str = "cpu") -> Workload:
    """Word problems with the embedded model for them."""
    prompts = texts.word_problems(PROBLEMS)
    model, assistant = _embedded("tiny-math", device), _assistant("tiny-math-draft", device)
    return Workload("tiny-math word problems", model, prompts, None, 64, assistant)


@dataclass(frozen=True)
class Copying:
    """A random network that writes JSON from letters and code with a name changed."""

    json: Workload
    code: Workload
    noise: Workload


@functools.cache
def copying(shape: str = "60m", device: str = "cpu", brief: bool = False) -> Copying:
    """The three workloads of one copying network.

    Args:
        brief: whether there are a few short texts only, and no assistant.
    """
    tokenizer = models.tekken_tokenizer(VOCABULARY if shape in SMALL else None)
    tokenizer.padding_side = "left"
    dtype = torch.float32 if shape in SMALL else torch.bfloat16
    count, asked = (BRIEF, texts.SHORT) if brief else (PROMPTS, texts.ALL)
    schema, budget = (texts.SHORT_COMPLAINT, 96) if brief else (texts.COMPLAINT, 192)
    letters, code = texts.complaints(count, asked=asked), texts.renamings(8)
    named, marks = texts.marked([*letters, *code], tokenizer)
    told = texts.sequences(named, tokenizer)
    network = copying_llama(tokenizer, SHAPES[shape], device=device, dtype=dtype)
    network.teach(told, marks)
    assistant = None
    if not brief:
        assistant = copying_llama(tokenizer, SHAPES["7m"], device=device, dtype=dtype)
        assistant.teach(told, marks, wrong=WRONG)
    model = guided.Model(network, tokenizer)
    prompts = [copy.prompt for copy in named]
    noise = [copy.prompt for copy in letters]
    return Copying(
        Workload(f"{shape} JSON", model, prompts[:count], schema, budget, assistant),
        Workload(f"{shape} code", model, prompts[count:], None, 192, assistant),
        Workload(f"{shape} noise", model, noise, None, 48),
    )
