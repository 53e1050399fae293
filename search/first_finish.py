"""First Finish Search: of parallel samples, those that end first (or last)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from guided.decoding import Branch
from guided.errors import InputError
from guided.search.effects import Plan, Until, grow
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.search import Search
from guided.search.voting import Answer, answer_of, winner


@dataclass(frozen=True)
class FirstFinish(Search):
    """Draws `n` samples side by side and takes the first that ends; its siblings stop there.

    The shortest of what the samples would have become, for `n` times its tokens (with guesses
    ahead, rows differ in length when the first one ends, and the count is between). Of equally
    long ones the first. With `finishers` above 1 that many are waited for, and the majority of
    their answers wins (FFS-k@N); `longest` takes the longest ones instead, which needs all samples
    whole (LFS-k@N). A sample that the limit of tokens has cut has not finished. Needs no reward.
    See "First Finish Search" (arXiv 2505.18149), and arXiv 2512.02008 on which models are better
    when they are short.

    Args:
        n: samples.
        finishers: how many of them vote (k).
        order: "shortest" or "longest".
        answer: as of `Majority`. Where it is given, a sample without an answer has not finished.

    Raises:
        InputError: `n` below 1, more finishers than samples, an unknown order.
    """

    needs_reward: ClassVar[bool] = False

    n: int = 4
    finishers: int = 1
    order: Literal["shortest", "longest"] = field(default="shortest", kw_only=True)
    answer: Answer | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(f"n must be at least 1, not {self.n}")
        if not 1 <= self.finishers <= self.n:
            raise InputError(f"finishers={self.finishers} of n={self.n} samples; give 1 to n")
        if self.order not in ("shortest", "longest"):
            raise InputError(f"order={self.order!r} is unknown; give shortest or longest")

    def plan(self, problem: Problem) -> Plan[None]:
        nodes = problem.fork(problem.root, self.n, keep_stream=True)
        for node in nodes:
            problem.offer(node)
        try:
            yield from grow(nodes, self._until(problem, nodes))
        finally:
            self._choose(problem, nodes)
        yield from problem.round(nodes, lengths=[len(node.tokens) for node in nodes])

    def _until(self, problem: Problem, nodes: Sequence[Node]) -> Until | None:
        """Whether a branch is as long as the last of the finishers, so that it comes too late."""
        if self.order == "longest":
            return None

        lengths: dict[int, int | None] = {}

        def is_late(branch: Branch) -> bool:
            for node in nodes:
                if node.is_complete and node.id not in lengths:
                    finishes = self._finishes(problem, node)
                    lengths[node.id] = len(node.tokens) if finishes else None
            ends = [end for end in lengths.values() if end is not None]
            length = len(branch.tokens)
            return sum(end <= length for end in ends) >= self.finishers

        return is_late

    def _finishes(self, problem: Problem, node: Node) -> bool:
        """Whether a sample has come to an end that counts."""
        if not node.is_complete:
            return False
        return self.answer is None or answer_of(problem, node, self.answer) is not None

    def _choose(self, problem: Problem, nodes: Sequence[Node]) -> None:
        """The vote of the finishers; of the first alone, where nobody has an answer."""
        sign = 1 if self.order == "shortest" else -1
        ended = sorted(
            (node for node in nodes if self._finishes(problem, node)),
            key=lambda node: (sign * len(node.tokens), node.id),
        )[: self.finishers]
        if not ended:
            return
        answers = [answer_of(problem, node, self.answer) for node in ended]
        number = winner(answers, [1.0] * len(ended)) if len(ended) > 1 else None
        problem.choose(ended[number or 0])
