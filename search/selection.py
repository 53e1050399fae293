"""Which of some weighted texts is the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from guided.decoding.rng import Purpose
from guided.errors import InputError
from guided.search.effects import Plan, weigh
from guided.search.node import Node
from guided.search.population import Population
from guided.search.problem import Problem
from guided.search.voting import Answer, answer_of, winner

#: "sample" draws one particle by weight, which is a sample of the target as their number grows.
#: All others look for a good answer, and take complete texts first: the highest "reward", the
#: greatest "weight", the answer of the most particles ("majority") or of the greatest total weight
#: ("weighted_majority"), the "shortest", the "first".
Rule = Literal["sample", "reward", "weight", "majority", "weighted_majority", "shortest", "first"]
_NAMES: tuple[str, ...] = get_args(Rule)


def check_rule(rule: str) -> None:
    """Refuses an unknown rule.

    Raises:
        InputError: it is none of those above.
    """
    if rule not in _NAMES:
        raise InputError(f"select={rule!r} is unknown; give one of {', '.join(_NAMES)}")


def select(
    problem: Problem,
    population: Population,
    rule: Rule,
    answer: Answer | None = None,
) -> Plan[None]:
    """Makes one of the particles the result.

    Args:
        answer: the answer that a text gives, for majorities; see `Majority`.
    """
    nodes, weights = population.nodes, population.weights.tolist()
    if rule == "sample":
        problem.choose(nodes[drawn(problem, weights)])
        return
    if rule == "reward":
        yield from weigh(nodes)
    complete = [i for i, node in enumerate(nodes) if node.is_complete]
    among = complete or list(range(len(nodes)))
    problem.choose(
        _best(problem, [nodes[i] for i in among], [weights[i] for i in among], rule, answer)
    )


def drawn(problem: Problem, weights: Sequence[float], sweep: int = 0) -> int:
    """The index of one particle, drawn by normalised weights."""
    cumulated = np.cumsum(weights)
    point = problem.uniform(Purpose.CHOICE, sweep) * cumulated[-1]
    return int(np.searchsorted(cumulated, point, side="right").clip(max=len(weights) - 1))


def _best(
    problem: Problem,
    nodes: Sequence[Node],
    weights: Sequence[float],
    rule: Rule,
    answer: Answer | None,
) -> Node:
    """The first of those that are best by a rule."""
    if rule == "shortest":
        return min(nodes, key=lambda node: len(node.tokens))
    if rule == "weight":
        return nodes[int(np.argmax(weights))]
    if rule == "reward":
        return max(nodes, key=lambda node: node.score.value if node.score else -np.inf)
    if rule == "first":
        return nodes[0]
    answers = [answer_of(problem, node, answer) for node in nodes]
    won = winner(answers, [1.0] * len(nodes) if rule == "majority" else weights)
    return nodes[0 if won is None else won]
