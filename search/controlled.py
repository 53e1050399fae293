"""Controlled decoding: a prefix scorer steers single tokens, or chooses among blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from guided.errors import InputError
from guided.search.effects import Plan, grow, weigh
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.search import Search
from guided.search.segmenter import Tokens
from guided.search.tilting import PartialText, Selection, Tilt, check_selection, decode
from guided.search.tokenwise import conclude


@dataclass(frozen=True)
class ControlledDecoding(Search):
    """Controlled decoding (Mudgal et al. 2023, arXiv 2310.17022).

    The reward is a prefix scorer V: what it says of unfinished text is the reward to be expected
    in the end. Blockwise, `k` blocks of `block` tokens are drawn and the one with the highest V is
    kept, again and again; tokenwise, tokens follow the law p(z) exp(weight V(text + z)).

    Args:
        granularity: "block" or "token".
        k: blocks, or candidate tokens (None: all tokens), at each step.
        block: tokens of a block.
        weight: of V, tokenwise.
        select: tokenwise, a draw from the law or its likeliest token.

    Raises:
        InputError: a setting out of its range.
    """

    granularity: Literal["block", "token"] = "block"
    k: int | None = 6
    block: int = 16
    weight: float = 1.0
    select: Selection = "sample"

    default_temperature: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_selection(name, self.select, self.k)
        if self.granularity not in ("block", "token"):
            raise InputError(
                f'{name}: granularity must be "block" or "token", not {self.granularity!r}'
            )
        if self.granularity == "block" and self.k is None:
            raise InputError(f"{name}: blocks are drawn, so k must say how many")
        if self.block < 1:
            raise InputError(f"{name}: block must be at least 1, not {self.block}")
        if not (self.weight >= 0 and math.isfinite(self.weight)):
            raise InputError(f"{name}: weight must not be negative, not {self.weight}")
        # Blocks are compared, so they have to differ; tokens are chosen here.
        object.__setattr__(self, "needs_draws", self.granularity == "block")

    def plan(self, problem: Problem) -> Plan[None]:
        if self.granularity == "token":
            alpha = math.inf if self.weight == 0 else 1 / self.weight
            yield from decode(problem, Tilt(self.k, alpha, self.select), PartialText())
        else:
            yield from self._blocks(problem, self.k or 1)

    def _blocks(self, problem: Problem, count: int) -> Plan[None]:
        node = problem.root
        problem.offer(node, 0)
        while not node.is_over:
            node = yield from self._block(problem, node, count)
            if not node.is_over:
                yield from problem.round([node], value=node.score.value if node.score else 0.0)
        yield from conclude(problem, node)

    def _block(self, problem: Problem, node: Node, count: int) -> Plan[Node]:
        """The best of some blocks after a node."""
        children = problem.fork(node, count, keep_stream=True)
        branches = [child.branch for child in children]
        yield from grow(children, problem.until(branches, Tokens(self.block)))
        scores = yield from weigh(children)
        values = [score.value for score in scores]
        best = children[values.index(max(values))]
        problem.offer(best, len(best.branch.tokens))
        problem.withdraw(node)
        problem.close([child.branch for child in [node, *children] if child is not best])
        return best
