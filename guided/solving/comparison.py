"""Several methods on the same problems: what they get right, and what it costs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from guided.errors import InputError
from guided.search.effects import Round
from guided.search.search import Search
from guided.solving.methods import described
from guided.solving.problems import Problem
from guided.solving.solver import Solution, Solver
from guided.trace import Trace

#: Standard deviations that hold 95 % of a normal law.
_Z = 1.96


@dataclass(frozen=True, slots=True)
class Tally:
    """What a method has done on some problems.

    Attributes:
        name: the method with its settings.
        right: problems whose answer was right, of `count` whose answer is known.
        tokens, reward_passes, reward_tokens: means over all problems.
        seconds: wall time of all together.
    """

    name: str
    right: int
    count: int
    tokens: float
    reward_passes: float
    reward_tokens: float
    seconds: float

    @classmethod
    def of(cls, name: str, solutions: Iterable[Solution], seconds: float = 0.0) -> Tally:
        """The tally of solutions; of none, too."""
        solved = list(solutions)
        judged = [each.is_right for each in solved if each.is_right is not None]

        def mean(what: str) -> float:
            return sum(each.result.spent[what] for each in solved) / max(1, len(solved))

        return cls(
            name, sum(judged), len(judged), mean("tokens"), mean("reward_passes"),
            mean("reward_tokens"), seconds,
        )  # fmt: skip

    @property
    def accuracy(self) -> float:
        """The share that is right; NaN where no answer is known."""
        return self.right / self.count if self.count else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy (Wilson 1927)."""
        if not self.count:
            return 0.0, 1.0
        n, p = self.count, self.accuracy
        middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        return middle - half, middle + half


def compare(
    solver: Solver,
    methods: Sequence[Search],
    problems: Sequence[Problem],
    *,
    trace: Trace | None = None,
    on_round: Callable[[Round], None] | None = None,
    on_solution: Callable[[Solution], None] | None = None,
) -> Iterator[Tally]:
    """The tally of every method on the same problems, each when it is done.

    Every method starts with a reward that remembers nothing. An interrupt ends the comparison with
    the tally of the method that it came in.

    Raises:
        InputError: a problem without an answer.
    """
    for number, problem in enumerate(problems, 1):
        if problem.answer is None:
            raise InputError(f"a comparison needs the answer of every problem; {number} has none")
    for method in methods:
        solutions: list[Solution] = []
        began = time.perf_counter()
        for each in replace(solver, method=method).solve(problems, trace=trace, on_round=on_round):
            solutions.append(each)
            if on_solution is not None:
                on_solution(each)
        yield Tally.of(described(method), solutions, time.perf_counter() - began)
        if any(each.result.stopped == "interrupt" for each in solutions):
            return


def table(tallies: Sequence[Tally]) -> str:
    """The tallies as a text of lines with aligned columns."""
    heads = ("method", "right", "accuracy", "95 %", "tokens", "reward passes", "reward tokens", "s")
    rows = [heads, *map(_row, tallies)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _row(tally: Tally) -> tuple[str, ...]:
    low, high = tally.interval
    return (
        tally.name,
        f"{tally.right}/{tally.count}",
        f"{tally.accuracy:.0%}",
        f"{100 * low:.0f}-{100 * high:.0f}",
        f"{tally.tokens:,.0f}",
        f"{tally.reward_passes:,.1f}",
        f"{tally.reward_tokens:,.0f}",
        f"{tally.seconds:.1f}",
    )
