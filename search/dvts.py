"""Diverse verifier tree search: a step beam search in several trees that do not compete."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from guided.errors import InputError
from guided.search.beam import best_first, check_width, extend
from guided.search.effects import Plan, weigh
from guided.search.finishing import concluded
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.search import Search
from guided.search.voting import Answer, Selection, check_selection, choose


@dataclass(frozen=True)
class DVTS(Search):
    """`width / factor` trees, each of which goes on with the best of `factor` steps.

    A tree ends when its best candidate has ended (the first one, if tied). The last candidates of
    every tree are kept: those that are complete may be the result, or vote. See Beeching, Tunstall
    and Rush 2024, "Scaling Test-Time Compute with Open Models".

    Args:
        width: candidates in a round, over all trees (N).
        factor: candidates of each tree (m); divides `width`.
        max_steps: rounds; the last one runs to the end of the text.
        select: which complete text is the result: "reward", "majority", "weighted_majority".
        answer: as of `Majority`.

    Raises:
        InputError: a number out of range, a `factor` that does not divide `width`.
    """

    finishes: ClassVar[bool] = True

    width: int = 8
    factor: int = 4
    max_steps: int = field(default=40, kw_only=True)
    select: Selection = field(default="reward", kw_only=True)
    answer: Answer | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_width(self.width, self.factor)
        if self.max_steps < 1:
            raise InputError(f"max_steps must be at least 1, not {self.max_steps}")
        check_selection(self.select)

    def plan(self, problem: Problem) -> Plan[None]:
        front = [problem.root]
        try:
            yield from concluded(problem, front, self._rounds(problem, front))
        finally:
            choose(problem, self.select, self.answer)

    def _rounds(self, problem: Problem, front: list[Node]) -> Plan[None]:
        """The search; `front` always holds the trees' best texts, the best one first."""
        made = problem.fork(problem.root, self.width, keep_stream=True)
        trees = [made[at : at + self.factor] for at in range(0, self.width, self.factor)]
        for number in range(1, self.max_steps + 1):
            candidates = [node for tree in trees for node in tree]
            yield from extend(problem, candidates, to_the_end=number == self.max_steps)
            yield from weigh(candidates)
            best = [best_first(tree)[0] for tree in trees]
            for tree, chosen in zip(trees, best, strict=True):
                if chosen.is_over:
                    _offer(problem, tree)
            going = [node for node in best if not node.is_over]
            yield from problem.round(going, trees=len(trees), best=[node.id for node in best])
            if not going:
                return
            front[:] = best_first(going)
            trees = [problem.fork(node, self.factor, keep_stream=True) for node in going]


def _offer(problem: Problem, tree: list[Node]) -> None:
    """Offers what a tree has come to."""
    for node in tree:
        if node.is_over:
            problem.offer(node, -math.inf if node.score is None else node.score.value)
