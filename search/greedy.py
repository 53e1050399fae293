"""No search: the text that plain decoding gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from guided.search.effects import Plan, grow
from guided.search.problem import Problem
from guided.search.search import Search


@dataclass(frozen=True)
class Greedy(Search):
    """One completion, the greedy one unless a temperature is given: what searches are measured by.

    Its tokens are those of `guided.generate` with the same options. A reward is not asked.
    """

    default_temperature: ClassVar[float] = 0.0
    needs_reward: ClassVar[bool] = False
    needs_draws: ClassVar[bool] = False

    def plan(self, problem: Problem) -> Plan[None]:
        nodes = problem.fork(problem.root, 1, keep_stream=True)
        problem.offer(nodes[0])
        yield from grow(nodes)
        yield from problem.round(nodes)
