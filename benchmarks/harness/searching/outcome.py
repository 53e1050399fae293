"""What one way of solving did on all questions, and intervals over them."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

RESAMPLES = 2000


@dataclass
class Outcome:
    """One entry for every question, in every list; several seeds are averaged.

    Attributes:
        right: share of the seeds with the right answer.
        tokens: drawn by the language model.
        passes: texts that the reward model scored.
        read: positions that the reward model computed.
        seconds: CPU time of all questions together.
    """

    right: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    passes: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def accuracy(self) -> float:
        """In percent."""
        return 100 * statistics.fmean(self.right)

    @property
    def cost(self) -> float:
        """Tokens for one question."""
        return statistics.fmean(self.tokens)

    def row(self, name: str) -> list[str]:
        """Cells of a table: see `COLUMNS`."""
        low, high = interval(self.right)
        cells = [f"{self.accuracy:.1f} [{100 * low:.1f}, {100 * high:.1f}]"]
        cells += [f"{statistics.fmean(each):.1f}" for each in (self.tokens, self.passes, self.read)]
        return [name, *cells, f"{1000 * self.seconds / max(1, len(self.right)):.0f}"]


COLUMNS = [
    "method",
    "right, % [95 %]",
    "tokens",
    "reward passes",
    "reward tokens",
    "CPU ms",
]


def averaged(outcomes: Sequence[Outcome]) -> Outcome:
    """The mean over seeds, question by question."""

    def mean(name: str) -> list[float]:
        return [
            statistics.fmean(each)
            for each in zip(*(getattr(o, name) for o in outcomes), strict=True)
        ]

    seconds = statistics.fmean(outcome.seconds for outcome in outcomes)
    return Outcome(mean("right"), mean("tokens"), mean("passes"), mean("read"), seconds)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """A 95 % interval of the mean by resampling questions."""
    rng, count = random.Random(0), len(values)
    means = sorted(statistics.fmean(rng.choices(values, k=count)) for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]


def difference(better: Outcome, worse: Outcome) -> tuple[float, float, float]:
    """Points of accuracy between two ways on the same questions, with a 95 % interval."""
    gaps = [100 * (a - b) for a, b in zip(better.right, worse.right, strict=True)]
    return (statistics.fmean(gaps), *interval(gaps))
