"""A bar that shows what a search has spent so far, and how good its best text is."""

from __future__ import annotations

from collections.abc import Mapping

from tqdm import tqdm

from guided.search.effects import Round
from guided.solving.solver import Solution


class Progress:
    """A bar on standard error, if that is a terminal; one step for every problem.

    Args:
        total: how many problems.
        quiet: no bar at all.
    """

    def __init__(self, total: int, name: str = "", *, quiet: bool = False) -> None:
        # None: shown on terminals only.
        self._bar = tqdm(total=total, desc=name, unit="problem", disable=True if quiet else None)
        self._spent = {"tokens": 0.0, "reward_passes": 0.0}
        self._open: dict[int, Mapping[str, float]] = {}
        self._right = self._judged = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def on_round(self, shown: Round) -> None:
        """Takes in a round of a problem that is under way."""
        self._open[shown.problem] = shown.spent
        score = None if shown.best is None else shown.best.score
        self._show(None if score is None else score.value)

    def on_solution(self, solution: Solution) -> None:
        """Takes in a problem that is done."""
        self._open.pop(solution.result.number, None)
        for name in self._spent:
            self._spent[name] += solution.result.spent[name]
        self._judged += solution.is_right is not None
        self._right += bool(solution.is_right)
        self._bar.update()
        self._show(solution.result.score)

    def write(self, text: str) -> None:
        """Prints a text to standard output, above the bar."""
        self._bar.write(text)

    def _show(self, best: float | None) -> None:
        told = {name.replace("_", " "): f"{self._total(name):,.0f}" for name in self._spent}
        if best is not None:
            told["best"] = f"{best:.3f}"
        if self._judged:
            told["right"] = f"{self._right}/{self._judged}"
        self._bar.set_postfix(told, refresh=False)

    def _total(self, name: str) -> float:
        return self._spent[name] + sum(spent.get(name, 0.0) for spent in self._open.values())
