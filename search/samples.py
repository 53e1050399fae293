"""Independent samples: what best-of-N and votes choose from."""

from __future__ import annotations

import math

from guided.search.budget import BudgetReached
from guided.search.effects import Plan, grow, weigh
from guided.search.node import Node
from guided.search.problem import Problem


def sampled(problem: Problem, count: int) -> Plan[list[Node]]:
    """`count` completions, offered by their scores where there is a reward.

    Where the budget ends first, those that are complete are scored nevertheless.
    """
    nodes = problem.fork(problem.root, count, keep_stream=True)
    for node in nodes:
        problem.offer(node, -math.inf)
    try:
        yield from grow(nodes)
    except BudgetReached:
        yield from scored(problem, [node for node in nodes if node.is_complete])
        raise
    yield from scored(problem, nodes)
    return nodes


def scored(problem: Problem, nodes: list[Node]) -> Plan[None]:
    """Asks the reward, if there is one, and offers the nodes by what it says."""
    if problem.scorer is None or not nodes:
        return
    try:
        yield from weigh(nodes)
    finally:
        # Where a budget of reward passes ends here, the scores have been given all the same.
        for node in nodes:
            if node.score is not None:
                problem.offer(node, node.score.value)
