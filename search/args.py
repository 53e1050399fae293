"""ARGS: every token by its log-probability plus the reward of the text with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from guided.errors import InputError
from guided.search.effects import Plan
from guided.search.problem import Problem
from guided.search.search import Search
from guided.search.tilting import PartialText, Selection, Tilt, check_selection, decode


@dataclass(frozen=True)
class ARGS(Search):
    """Alignment as reward-guided search (Khanov et al. 2024, arXiv 2402.01694).

    The score of a candidate token is its log-probability plus `weight` times the reward of the
    text so far with it. That is a value without any look ahead: the reward has to make sense of
    unfinished text.

    Args:
        k: candidates, the likeliest tokens.
        weight: of the reward.
        select: "greedy" takes the highest score, "sample" draws from softmax(score / temperature).
        temperature: of that draw.

    Raises:
        InputError: a setting out of its range.
    """

    k: int = 10
    weight: float = 1.0
    select: Selection = "greedy"
    temperature: float = 0.7

    default_temperature: ClassVar[float] = 1.0
    needs_draws: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_selection("ARGS", self.select, self.k)
        if not (self.weight >= 0 and math.isfinite(self.weight)):
            raise InputError(f"ARGS: weight must not be negative, not {self.weight}")
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise InputError(f"ARGS: temperature must be positive, not {self.temperature}")

    def plan(self, problem: Problem) -> Plan[None]:
        alpha = math.inf if self.weight == 0 else 1 / self.weight
        tilt = Tilt(self.k, alpha, self.select, 1 / self.temperature)
        yield from decode(problem, tilt, PartialText())
