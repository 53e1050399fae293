"""Best-of-N: independent completions, the one that the reward likes best."""

from __future__ import annotations

from dataclasses import dataclass

from guided.errors import InputError
from guided.search.effects import Plan
from guided.search.problem import Problem
from guided.search.samples import sampled
from guided.search.search import Search


@dataclass(frozen=True)
class BestOfN(Search):
    """Draws `n` completions and returns the one with the highest reward (the first, if tied).

    The common baseline; see e.g. Cobbe et al. 2021, "Training Verifiers to Solve Math Word
    Problems".

    Raises:
        InputError: `n` below 1.
    """

    n: int = 16

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(f"n must be at least 1, not {self.n}")

    def plan(self, problem: Problem) -> Plan[None]:
        nodes = yield from sampled(problem, self.n)
        yield from problem.round(nodes, best=max(n.score.value for n in nodes if n.score))
