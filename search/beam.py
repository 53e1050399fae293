"""Step beam search: the best partial texts go on, the others end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from guided.errors import InputError
from guided.search.budget import BudgetReached
from guided.search.effects import Plan, grow, grow_branches, weigh
from guided.search.finishing import concluded
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.samples import scored
from guided.search.search import Search
from guided.search.voting import Answer, Selection, check_selection, choose


@dataclass(frozen=True)
class Beam(Search):
    """Holds `width` partial texts; after every step only the best `width / factor` go on.

    Every round extends all beams by one step, scores them, takes those that have ended out as
    candidates, keeps the best of the rest (the first ones, if tied) and copies these in turn until
    there are `width` again. `factor` 1 prunes and copies nothing, which is best-of-N; `factor`
    equal to `width` is best-of-N at every step. See Snell et al. 2024, "Scaling LLM Test-Time
    Compute Optimally" (arXiv 2408.03314).

    Args:
        width: beams (N).
        factor: how many continuations a beam that is kept gets (m); divides `width`.
        max_steps: rounds; the last one runs to the end of the text.
        lookahead: steps that are continued greedily for the score alone.
        drop_repeated: whether beams that equal another one are left out before the best are kept.
        select: which complete text is the result: "reward", "majority", "weighted_majority".
        answer: as of `Majority`.

    Raises:
        InputError: a number out of range, a `factor` that does not divide `width`.
    """

    finishes: ClassVar[bool] = True

    width: int = 4
    factor: int = 4
    max_steps: int = field(default=40, kw_only=True)
    lookahead: int = field(default=0, kw_only=True)
    drop_repeated: bool = field(default=False, kw_only=True)
    select: Selection = field(default="reward", kw_only=True)
    answer: Answer | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_width(self.width, self.factor)
        for name, least in (("max_steps", 1), ("lookahead", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, not {getattr(self, name)}")
        check_selection(self.select)

    def plan(self, problem: Problem) -> Plan[None]:
        front = [problem.root]
        try:
            yield from concluded(problem, front, self._rounds(problem, front))
        finally:
            choose(problem, self.select, self.answer)

    def _rounds(self, problem: Problem, front: list[Node]) -> Plan[None]:
        """The search; `front` always holds the best partial texts, the best one first."""
        beams = problem.fork(problem.root, self.width, keep_stream=True)
        for number in range(1, self.max_steps + 1):
            yield from self._step(problem, beams, is_last=number == self.max_steps)
            going = [beam for beam in beams if not beam.is_over]
            if self.drop_repeated:
                going = distinct(going)
            kept = best_first(going)[: self.width // self.factor]
            yield from problem.round(kept, beams=len(beams), kept=[beam.id for beam in kept])
            if not kept:
                return
            front[:] = kept
            beams = self._copies(problem, kept)

    def _step(self, problem: Problem, beams: list[Node], is_last: bool) -> Plan[None]:
        """Extends the beams by a step and scores them; offers what has ended."""
        yield from extend(problem, beams, to_the_end=is_last)
        over = [beam for beam in beams if beam.is_over]
        for beam in over:
            problem.offer(beam, -math.inf)
        if not self.lookahead:
            yield from weigh(beams)
        else:
            yield from scored(problem, over)
            yield from self._look_ahead(problem, [beam for beam in beams if not beam.is_over])
        for beam in over:
            if beam.score is not None:
                problem.offer(beam, beam.score.value)

    def _look_ahead(self, problem: Problem, beams: Sequence[Node]) -> Plan[None]:
        """Scores beams by what they greedily lead to."""
        if not beams:
            return
        ahead = [problem.fork_branches(beam.branch, 1)[0] for beam in beams]
        for _ in range(self.lookahead):
            yield from grow_branches(ahead, problem.until(ahead), greedy=True)
        scores = yield from weigh(ahead)
        problem.close(ahead)
        for beam, score in zip(beams, scores, strict=True):
            beam.facts["ahead"] = score.value

    def _copies(self, problem: Problem, kept: Sequence[Node]) -> list[Node]:
        """The beams of the next round: in turn those kept, each with streams of its own."""
        count = len(kept) if self.factor == 1 else self.width
        shares = [len(range(number, count, len(kept))) for number in range(len(kept))]
        made = [
            problem.fork(beam, share, keep_stream=True)
            for beam, share in zip(kept, shares, strict=True)
        ]
        return [made[at % len(kept)][at // len(kept)] for at in range(count)]


def check_width(width: int, factor: int) -> None:
    """Refuses a width that cannot be cut by a factor.

    Raises:
        InputError: either below 1, or the factor does not divide the width.
    """
    if width < 1 or factor < 1:
        raise InputError(f"width and factor must be at least 1, not {width} and {factor}")
    if width % factor:
        raise InputError(f"factor={factor} does not divide width={width}")


def extend(problem: Problem, nodes: Sequence[Node], to_the_end: bool) -> Plan[None]:
    """Extends nodes by one step, or to the end of the text.

    Where the budget ends meanwhile, those that are complete are scored and offered.
    """
    until = None if to_the_end else problem.until([node.branch for node in nodes])
    try:
        yield from grow(nodes, until)
    except BudgetReached:
        complete = [node for node in nodes if node.is_complete]
        for node in complete:
            problem.offer(node, -math.inf)
        yield from scored(problem, complete)
        raise


def distinct(nodes: Sequence[Node]) -> list[Node]:
    """Those nodes whose texts no earlier one has."""
    first: dict[tuple[int, ...], Node] = {}
    for node in nodes:
        first.setdefault(node.tokens, node)
    return list(first.values())


def best_first(nodes: Sequence[Node]) -> list[Node]:
    """The nodes by their rewards, the highest first; in their order where tied."""
    return sorted(nodes, key=lambda node: -standing(node))


def standing(node: Node) -> float:
    """What the reward says of a node, or of what it leads to where that was asked."""
    if "ahead" in node.facts:
        return node.facts["ahead"]
    return -math.inf if node.score is None else node.score.value
