"""An answer in any case: what a search over partial texts does where its budget ends first."""

from __future__ import annotations

import math
from collections.abc import Sequence

from guided.search.budget import BudgetReached
from guided.search.effects import Plan, finish
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.samples import scored

#: Why a search was stopped in a way that leaves no time to finish a text.
_AT_ONCE = ("interrupt", "memory")


def concluded(problem: Problem, front: Sequence[Node], rounds: Plan[None]) -> Plan[None]:
    """Runs a search; where its budget ends first, finishes and scores its best partial text.

    Args:
        front: the partial texts that the search goes on with, which it keeps up to date; the best
            one first.
    """
    try:
        yield from rounds
    except BudgetReached as reached:
        yield from scored(problem, (yield from finished(problem, front[0], reached.what)))
    finally:
        show_partial(problem, front[0])


def finished(problem: Problem, node: Node | None, why: str | None = None) -> Plan[list[Node]]:
    """The greedy end of a partial text, unscored; nothing where there is a complete text already.

    Args:
        node: the best partial text; None: there is none.
        why: what the search was stopped by; None: it came to its end.
    """
    is_wanted = node is not None and why not in _AT_ONCE and not has_answer(problem)
    if node is None or not is_wanted or problem.ledger.budget.reserve == 0:
        return []
    made = problem.fork(node, 1)
    problem.offer(made[0], -math.inf)
    yield from finish(made)
    return made


def has_answer(problem: Problem) -> bool:
    """Whether something complete was offered."""
    best = problem.best
    return best is not None and best.is_complete


def show_partial(problem: Problem, node: Node) -> None:
    """Offers a partial text where there is nothing else."""
    if problem.best is None:
        problem.offer(node, -math.inf)
