"""What a path through the tree costs, and how much further it is to its end."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from guided.errors import RewardError
from guided.model import Prompt
from guided.rewards.protocol import Continuation
from guided.rewards.scorer import Score
from guided.search.node import Node

CostMode = Literal["neglog", "consistent", "best_first", "nll"]
#: An estimate of what is still to be paid from a text on.
Heuristic = Callable[[Prompt, Continuation], float]

#: Step scores below this cost as much as this.
LEAST = 1e-9


def value(node: Node) -> float:
    """The reward's score of a node; 1 where it was not asked, as at the root."""
    return 1.0 if node.score is None else node.score.value


def edge_cost(mode: CostMode, parent: Node, child: Node, scale: float) -> float:
    """What the step from `parent` to `child` costs.

    * "consistent": how much the reward's score V has risen, so that with 1 - V as the distance
      left a path costs the total amount by which V has dropped along it;
    * "best_first": nothing;
    * "neglog": -log of the scores of the new steps;
    * "nll": `scale` times the negative log-likelihood of the step under the raw model.

    Raises:
        RewardError: "neglog" where a score is no probability.
    """
    if mode == "consistent":
        return max(0.0, value(child) - value(parent))
    if mode == "neglog":
        return -sum(math.log(max(LEAST, p)) for p in _probabilities(parent.score, child.score))
    if mode == "nll":
        return -scale * sum(child.branch.log_p[child.start :])
    return 0.0


def checked(estimate: object) -> float:
    """What a heuristic has given, as a number.

    Raises:
        RewardError: it is none.
    """
    if not isinstance(estimate, int | float) or math.isnan(estimate):
        raise RewardError(f"the heuristic gave {estimate!r}, which is no number")
    return float(estimate)


def _probabilities(before: Score | None, after: Score | None) -> tuple[float, ...]:
    """The scores that a step has added: of a process its own, of an outcome that of the text."""
    steps = () if after is None else after.steps
    known = 0 if before is None else len(before.steps)
    new = steps[known:] if len(steps) > known else ()
    if not new and known <= 1:
        # One number for the whole text, however many steps it has.
        new = steps[-1:]
    for p in new:
        if not 0 <= p <= 1:
            raise RewardError(
                f"cost='neglog' reads scores as probabilities, and the reward gave {p}; use "
                "cost='best_first', or a reward between 0 and 1"
            )
    return new
