"""What aligned samplers are measured on: a model, a prompt, and the language of its answers."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import guided
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.lark import lark
from guided.grammars.regex import regex
from guided.testing import table_model

from ..data import ROOT

FILE = Path(__file__).resolve().parents[2] / "data" / "aligned_tasks.jsonl"
MODELS = ROOT / "examples" / "models"


@dataclass(frozen=True, eq=False)
class Task:
    """A prompt and the texts that may follow it.

    Attributes:
        output: `schema`, `grammar` or `regex`, as `guided.generate` takes it.
        limit: most new tokens, the stop token included.
    """

    name: str
    model: guided.Model
    prompt: str
    output: Mapping[str, Any]
    limit: int

    @property
    def options(self) -> dict[str, Any]:
        """What a search is run with."""
        return {**self.output, "max_new_tokens": self.limit, "heal": False, "draft": None}

    @property
    def is_shared(self) -> bool:
        """Whether other packages read the same language out of `output`, and have a tokenizer.

        Of schemas they allow other whitespace, so that Z is another.
        """
        return "regex" in self.output and self.model.tokenizer is not None

    @property
    def grammar(self) -> Grammar:
        """The language."""
        if "schema" in self.output:
            return json_schema(self.output["schema"])
        if "grammar" in self.output:
            return lark(self.output["grammar"])
        return regex(self.output["regex"])


def five_bits() -> Task:
    """The toy of the ASAp paper: one text begins with 0, sixteen with 1.

    Each bit, and the end of the text, is as likely as a random law over three tokens says.
    """
    model = table_model(tokens=[b"0", b"1"], seed=4, spread=2)
    return Task("five bits", model, "10", {"regex": "0{5}|1[01]{4}"}, 6)


def words() -> Task:
    """Texts of several lengths and tokenizations."""
    model = table_model(tokens=[b"a", b"b", b"ab", b"c"], seed=3, spread=3)
    return Task("several tokenizations", model, "ab", {"regex": "a(b|c){0,2}|cab?|(ab){2}"}, 4)


def embedded() -> list[Task]:
    """The tasks of the data file."""
    rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    return [
        Task(row["name"], _model(row["model"]), row["prompt"], row["output"], row["limit"])
        for row in rows
    ]


def tasks(quick: bool) -> Sequence[Task]:
    """All of them; the first ones where little is wanted."""
    toys = [five_bits(), words()]
    return [*toys, *embedded()[: 1 if quick else None]]


@functools.cache
def _model(name: str) -> guided.Model:
    return guided.load(str(MODELS / name), dtype=torch.float32)
