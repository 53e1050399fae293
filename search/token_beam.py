"""Beam search over tokens: the likeliest continuations of a given length."""

from __future__ import annotations

from collections.abc import Sequence

from guided.search.effects import Plan
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.tokenwise import commit, propose


def beam_ends(
    problem: Problem, starts: Sequence[Node], width: int, length: int | None
) -> Plan[list[Node]]:
    """For every node the `width` likeliest continuations that beam search finds, the best first.

    All are searched in one batch, each on its own. A node's fact `log_law` is the log-probability
    of its whole text under the law; the starts must have it. Complete texts keep their places.

    Args:
        length: most tokens; None: to the end of the texts.
    """
    groups = [[start] for start in starts]
    open_starts = set(starts)
    steps = 0
    while length is None or steps < length:
        live = [node for group in groups for node in group if not node.is_over]
        if not live:
            break
        left: list[Node] = []
        for number, group in enumerate(groups):
            groups[number], out = _step(problem, group, width)
            left += out
        taken = [node for group in groups for node in group if node.parent in live]
        yield from commit(problem, taken, left, [node for node in live if node not in open_starts])
        steps += 1
    return [node for group in groups for node in group]


def _step(problem: Problem, group: Sequence[Node], width: int) -> tuple[list[Node], list[Node]]:
    """The best of a group's texts after one more token, and those that are left out."""
    pool: list[Node] = []
    for node in group:
        if node.is_over:
            pool.append(node)
            continue
        for child in propose(problem, node, width):
            child.facts["log_law"] += node.facts["log_law"]
            pool.append(child)
    ranked = sorted(pool, key=lambda node: node.facts["log_law"], reverse=True)
    return ranked[:width], ranked[width:]
