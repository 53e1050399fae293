"""What is good: rewards, and how searches ask them."""

from guided.rewards.protocol import Continuation, Reward, RewardUsage
from guided.rewards.scorer import Aggregation, Score, Scorer, as_reward

__all__ = [
    "Aggregation",
    "Continuation",
    "Reward",
    "RewardUsage",
    "Score",
    "Scorer",
    "as_reward",
]
