"""Decoding by a law that is tilted towards the values of the candidate tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from guided.decoding.rng import Purpose
from guided.errors import InputError
from guided.search.effects import Plan, weigh
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.tokenwise import commit, conclude, propose

Selection = Literal["greedy", "sample"]


class Values(Protocol):
    """Says how good it is to go on with a token; one object for each problem."""

    def of(self, problem: Problem, children: Sequence[Node]) -> Plan[list[float]]:
        """The value of every candidate."""
        ...

    def follow(self, problem: Problem, child: Node) -> Plan[None]:
        """Takes notice of the candidate that the text goes on with."""
        ...


class PartialText(Values):
    """The reward of the text that ends with the candidate."""

    def of(self, problem: Problem, children: Sequence[Node]) -> Plan[list[float]]:
        scores = yield from weigh(children)
        return [score.value for score in scores]

    def follow(self, problem: Problem, child: Node) -> Plan[None]:
        yield from ()


def tilted(log_law: Sequence[float], values: Sequence[float], alpha: float) -> list[float]:
    """The log-probabilities of pi(z) exp(value(z) / alpha), normalised over the candidates.

    For alpha = 0 all mass is on the highest value, of equals on the likeliest.
    """
    if alpha == 0:
        best = max(range(len(values)), key=lambda index: (values[index], log_law[index]))
        return [0.0 if index == best else -math.inf for index in range(len(values))]
    scores = torch.tensor(log_law, dtype=torch.float64)
    scores += torch.tensor(values, dtype=torch.float64) / alpha
    return list(scores.log_softmax(-1).tolist())


@dataclass(frozen=True, slots=True)
class Tilt:
    """How the next token is found.

    Attributes:
        k: candidates, the likeliest tokens; None: all.
        alpha: how far the law may move: values count divided by it.
        select: the likeliest candidate under the tilted law, or a draw from it.
        sharpness: the tilted law is raised to this power before the draw.
    """

    k: int | None
    alpha: float
    select: Selection
    sharpness: float = 1.0


def decode(problem: Problem, tilt: Tilt, values: Values) -> Plan[None]:
    """One text, token by token, from the tilted law."""
    node = problem.root
    problem.offer(node, 0)
    while not node.is_over:
        children = propose(problem, node, tilt.k)
        chosen = yield from _choose(problem, children, tilt, values)
        problem.offer(chosen, len(chosen.branch.tokens))
        others = [child for child in children if child is not chosen]
        yield from commit(problem, [chosen], others, [node])
        yield from values.follow(problem, chosen)
        node = chosen
        if not node.is_over:
            yield from problem.round([node], candidates=len(children))
    yield from conclude(problem, node)


def _choose(problem: Problem, children: Sequence[Node], tilt: Tilt, values: Values) -> Plan[Node]:
    log_law = [child.facts["log_law"] for child in children]
    # A token without alternative is taken whatever its value.
    found = (yield from values.of(problem, children)) if len(children) > 1 else [0.0]
    scores = tilted(log_law, found, tilt.alpha)
    for child, value, score in zip(children, found, scores, strict=True):
        child.facts |= {"value": value} if len(children) > 1 else {}
        child.facts["log_tilted"] = score
    if tilt.select == "greedy":
        return children[max(range(len(scores)), key=scores.__getitem__)]
    law = (torch.tensor(scores, dtype=torch.float64) * tilt.sharpness).softmax(-1)
    spot = problem.uniform(Purpose.CHOICE, len(children[0].branch.tokens))
    index = min(int((law.cumsum(-1) <= spot).sum()), len(children) - 1)
    children[index].branch.log_q[-1] = float(law[index].log())
    return children[index]


def check_selection(method: str, select: str, k: int | None) -> None:
    """Refuses settings of a tilted law that cannot work.

    Raises:
        InputError: says which.
    """
    if select not in ("greedy", "sample"):
        raise InputError(f'{method}: select must be "greedy" or "sample", not {select!r}')
    if k is not None and k < 1:
        raise InputError(f"{method}: k must be at least 1, not {k}")
