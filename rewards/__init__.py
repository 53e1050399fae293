"""What is good: rewards, and how searches ask them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from guided.rewards.ensembles import Aggregated, Combinable, Min, Product, Sum, Weighted
from guided.rewards.protocol import Continuation, Reward, RewardUsage
from guided.rewards.rules import Keywords, Length, Matches
from guided.rewards.scorer import Aggregation, Score, Scorer, as_reward

if TYPE_CHECKING:
    from guided.rewards.code_tests import Tests as Tests
    from guided.rewards.formats import ProcessFormat as ProcessFormat
    from guided.rewards.judge import Grader as Grader
    from guided.rewards.judge import Judge as Judge
    from guided.rewards.outcome import OutcomeModel as OutcomeModel
    from guided.rewards.prm import PRM as PRM
    from guided.rewards.sandbox import Sandbox as Sandbox

#: Names that load more than they are worth before somebody asks for them.
_HOMES = {
    "Grader": "guided.rewards.judge",
    "Judge": "guided.rewards.judge",
    "OutcomeModel": "guided.rewards.outcome",
    "PRM": "guided.rewards.prm",
    "ProcessFormat": "guided.rewards.formats",
    "Sandbox": "guided.rewards.sandbox",
    "Tests": "guided.rewards.code_tests",
}

__all__ = [
    "PRM",
    "Aggregated",
    "Aggregation",
    "Combinable",
    "Continuation",
    "Grader",
    "Judge",
    "Keywords",
    "Length",
    "Matches",
    "Min",
    "OutcomeModel",
    "ProcessFormat",
    "Product",
    "Reward",
    "RewardUsage",
    "Sandbox",
    "Score",
    "Scorer",
    "Sum",
    "Tests",
    "Weighted",
    "as_reward",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'guided.rewards' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
