"""A reward that needs no model: whether the equations of a text are true."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from guided.model import Prompt
from guided.rewards.protocol import Continuation

_NUMBER = r"\d+(?:\.\d+)?"
#: Two numbers and a result, which are no part of a longer chain.
_EQUATION = re.compile(
    rf"(?<![\d.+*/×÷−=-])(?<![+*/×÷−=-] )({_NUMBER})\s*([-+*/×÷−])\s*({_NUMBER})"
    rf"\s*=\s*(-?{_NUMBER})(?![\d.]*\s*[-+*/×÷−=])"
)


class Equations:
    """The score of every line: 0 if it holds a false equation of two numbers, else 1.

    It knows nothing of the question, so that it is a weak reward; it shows how any program can be
    one.
    """

    delimiter = "\n"

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Continuation]
    ) -> list[list[float]]:
        """One score for each line that is not blank, at least one."""
        return [
            [_score(line) for line in each.text.split("\n") if line.strip()] or [1.0]
            for each in continuations
        ]


def _score(line: str) -> float:
    return float(all(_is_true(*each.groups()) for each in _EQUATION.finditer(line)))


def _is_true(left: str, operator: str, right: str, result: str) -> bool:
    a, b, told = Fraction(left), Fraction(right), Fraction(result)
    if operator in "/÷":
        return b != 0 and a / b == told
    return {"+": a + b, "-": a - b, "−": a - b, "*": a * b, "×": a * b}[operator] == told
