"""Which steps of a solution are right, by comparison with the gold steps."""

from __future__ import annotations

import re
from dataclasses import dataclass

EQUATION = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")


@dataclass(frozen=True)
class Equation:
    """One step, `left operation right = result`."""

    left: int
    operation: str
    right: int
    result: int

    def __str__(self) -> str:
        return f"{self.left}{self.operation}{self.right}={self.result}"


def equation(line: str) -> Equation | None:
    """The equation that `line` is, None if it is something else."""
    match = EQUATION.fullmatch(line)
    if match is None:
        return None
    return Equation(int(match[1]), match[2], int(match[3]), int(match[4]))


def _normal(one: Equation) -> Equation:
    """A form in which equal steps are equal: operands in order, x+x as x*2."""
    left, operation, right = one.left, one.operation, one.right
    if operation == "+" and left == right:
        operation, right = "*", 2
    if operation in "+*":
        left, right = sorted((left, right))
    return Equation(left, operation, right, one.result)


def same_step(line: str, gold: str) -> bool:
    """Whether two lines say the same: equal up to the order of operands and x+x for x*2."""
    said, wanted = equation(line), equation(gold)
    if said is None or wanted is None:
        return line == gold
    return _normal(said) == _normal(wanted)


def first_wrong(lines: list[str], gold: list[str]) -> int | None:
    """Number of the first line that is not the gold line of its place; None if all are right.

    A solution that stops early is right as far as it goes.
    """
    for number, line in enumerate(lines):
        if number >= len(gold) or not same_step(line, gold[number]):
            return number
    return None
