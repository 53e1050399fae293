"""Wrong steps made up for a problem, like those that a small model writes."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from .checking import Equation, equation, same_step
from .wordproblems import Problem

SLIPS = (-20, -11, -10, -9, -2, -1, 1, 2, 9, 10, 11, 20)
LARGEST = 150  # a wrong result may be somewhat beyond the totals of right ones


def calculated(left: int, operation: str, right: int) -> Equation | None:
    """The equation with its true result, None if that is no whole number from 0 to `LARGEST`."""
    if operation == "/" and (right == 0 or left % right):
        return None
    results = {"+": left + right, "-": left - right, "*": left * right}
    result = left // right if operation == "/" else results[operation]
    return Equation(left, operation, right, result) if 0 <= result <= LARGEST else None


def slipped(gold: Equation, rng: random.Random) -> Equation:
    """The same calculation with another result."""
    result = rng.choice(
        [gold.result + rng.choice(SLIPS), gold.result + rng.choice(SLIPS), gold.left]
    )
    return Equation(gold.left, gold.operation, gold.right, max(0, result))


def _misread(gold: Equation, known: list[int], rng: random.Random) -> Equation | None:
    """A true equation with a wrong operand or operation."""
    left, operation, right = gold.left, gold.operation, gold.right
    kind = rng.choices(("left", "right", "operation", "all"), (3, 4, 2, 1))[0]
    if kind in ("left", "all"):
        left = rng.choice([*known, left + rng.choice(SLIPS)])
    if kind in ("right", "all"):
        right = rng.choice([*known, 2, 3, right + 1, right - 1])
    if kind in ("operation", "all"):
        operation = rng.choice("+-*/")
    return calculated(left, operation, right) if left > 0 and right > 0 else None


def wrong_line(problem: Problem, number: int, rng: random.Random) -> str | None:
    """A wrong line in place of the gold line `number`; None if the attempt made a right one.

    Equations have a wrong result, a wrong operand or operation, or belong to another place; the
    answer may come too early. In place of the answer stand another answer or one more step.
    """
    gold = problem.lines()
    earlier = [int(line.split("=")[1]) for line in gold[:number] if "=" in line]
    told = [int(digits) for digits in re.findall(r"\d+", problem.question)]
    known, step = told + earlier, equation(gold[number])
    ways: list[tuple[int, Callable[[], object]]] = [
        (1, lambda: rng.choice(problem.steps)),
        (1, lambda: f"Answer: {rng.choice(earlier[-1:] + known)}"),
    ]
    if step is None:
        slip = max(0, problem.answer + rng.choice(SLIPS))
        more = rng.choice(told)
        ways += [
            (3, lambda: f"Answer: {slip}"),
            (2, lambda: calculated(problem.answer, rng.choice("+-*"), more)),
        ]
    else:
        ways += [(6, lambda: slipped(step, rng)), (8, lambda: _misread(step, known, rng))]
    way = rng.choices([way for _, way in ways], [weight for weight, _ in ways])[0]
    made = way()
    return None if made is None or same_step(str(made), gold[number]) else str(made)


def wrong_result(line: str, rng: random.Random) -> str | None:
    """A bare equation with another result, None if the attempt made the right one."""
    gold = equation(line)
    made = None if gold is None else str(slipped(gold, rng))
    return None if made == line else made
