"""What is good: rewards, and how searches ask them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from guided.rewards.ensembles import Aggregated, Min, Product, Sum, Weighted
from guided.rewards.protocol import Continuation, Reward, RewardUsage
from guided.rewards.scorer import Aggregation, Score, Scorer, as_reward

if TYPE_CHECKING:
    from guided.rewards.formats import ProcessFormat as ProcessFormat
    from guided.rewards.prm import PRM as PRM

#: Names that load more than they are worth before somebody asks for them.
_HOMES = {
    "PRM": "guided.rewards.prm",
    "ProcessFormat": "guided.rewards.formats",
}

__all__ = [
    "PRM",
    "Aggregated",
    "Aggregation",
    "Continuation",
    "Min",
    "ProcessFormat",
    "Product",
    "Reward",
    "RewardUsage",
    "Score",
    "Scorer",
    "Sum",
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
