"""One prompt's tree: what the trace has of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from guided.search import Search
from guided.search.effects import Plan, grow
from guided.search.problem import Problem
from guided.testing import table_model
from guided.trace import Trace

DEEP = 1500


@dataclass(frozen=True)
class Chain(Search):
    """One text below a long chain of nodes that are never shown."""

    needs_reward: ClassVar[bool] = False

    def plan(self, problem: Problem) -> Plan[None]:
        node = problem.root
        for _ in range(DEEP):
            (node,) = problem.hand_over(node)
        yield from grow([node])
        problem.offer(node)
        yield from problem.round([node])


def test_a_node_is_written_after_all_those_before_it_however_many() -> None:
    trace = Trace()
    Chain().run(table_model(3, seed=1, horizon=5), "ab", trace=trace, heal=False)
    nodes = [record for record in trace.records if record["kind"] == "node"]
    assert [node["id"] for node in nodes] == list(range(DEEP + 1))
    assert [node["parent"] for node in nodes] == [None, *range(DEEP)]
