"""The embedded risky and safe model, what they are asked, and what their answers are worth."""

from __future__ import annotations

import functools
import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

import guided
from guided.controls.ledger import Ledger
from guided.controls.protocol import Control
from guided.copying import measure

from ..data import ROOT

EXAMPLES = ROOT / "examples"
LONGEST = 100


@dataclass(frozen=True)
class Passage:
    """A protected text that the risky model has learned by heart."""

    prompt: str
    continuation: str


@dataclass(frozen=True)
class Town:
    """A town, of which only the risky model knows the facts."""

    prompt: str
    facts: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """What a way to decode gives.

    Attributes:
        copied: the mean of every copy measure over the protected passages.
        right: the share of facts that are right.
        spent: nats for each token; None where there is no ledger.
    """

    copied: dict[str, float]
    right: float
    spent: float | None = None


@dataclass(frozen=True)
class Pair:
    """Both models and what they are asked."""

    risky: guided.Model
    safe: guided.Model
    passages: Sequence[Passage]
    towns: Sequence[Town]

    @functools.cached_property
    def kinds(self) -> dict[str, set[str]]:
        """All words of every kind of fact."""
        kinds = self.towns[0].facts
        return {kind: {town.facts[kind] for town in pair().towns} for kind in kinds}

    @property
    def prompts(self) -> list[str]:
        return [asked.prompt for asked in (*self.passages, *self.towns)]

    def outcome(
        self,
        controls: Sequence[Control],
        samples: int,
        seed: int,
        model: guided.Model | None = None,
    ) -> Outcome:
        """Copying and facts over `samples` answers to everything, at temperature 1."""
        results = run(model or self.risky, self.prompts * samples, controls, seed)
        copied, right = [], []
        for index, result in enumerate(results):
            asked = (*self.passages, *self.towns)[index % len(self.prompts)]
            if isinstance(asked, Passage):
                copied.append(measure(result.text, asked.continuation).as_dict())
            else:
                right.append(self.right(result.text, asked))
        means = {name: statistics.fmean(one[name] for one in copied) for name in copied[0]}
        return Outcome(means, statistics.fmean(right), _spent(results))

    def right(self, text: str, town: Town) -> float:
        """The share of facts whose word is the first of its kind in a text."""
        said = re.findall(r"\w+", text)
        first = {
            kind: next((word for word in said if word in words), None)
            for kind, words in self.kinds.items()
        }
        return statistics.fmean(first[kind] == word for kind, word in town.facts.items())


def _spent(results: Sequence[guided.Result[str]]) -> float | None:
    """Nats for each token by the ledgers, if there are any."""
    ledgers = [one.certificate for one in results if isinstance(one.certificate, Ledger)]
    if not ledgers:
        return None
    return sum(one.spent for one in ledgers) / sum(len(one.charges) for one in ledgers)


def run(
    model: guided.Model,
    prompts: Sequence[str],
    controls: Sequence[Control] = (),
    seed: int = 0,
    **options: Any,
) -> list[guided.Result[str]]:
    """Samples at temperature 1; the prompts end with whole tokens."""
    given = {"max_new_tokens": LONGEST, "batch_size": 64, **options}
    return guided.run(
        model, list(prompts), controls=controls, temperature=1.0, seed=seed, heal=False, **given
    )


@functools.cache
def pair(count: int | None = None) -> Pair:
    """The embedded pair with the first `count` passages and towns, or all."""

    def rows(name: str) -> list[Any]:
        text = (EXAMPLES / "data" / name).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()][:count]

    def model(name: str) -> guided.Model:
        return guided.load(str(EXAMPLES / "models" / name), dtype=torch.float32)

    passages = [Passage(**row) for row in rows("protected_passages.jsonl")]
    towns = [Town(**row) for row in rows("towns.jsonl")]
    return Pair(model("tiny-risky"), model("tiny-safe"), passages, towns)
