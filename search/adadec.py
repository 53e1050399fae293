"""AdaDec: greedy decoding that looks ahead where the model is unsure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from guided.controls.law import Temperature
from guided.controls.protocol import Control, Stage
from guided.errors import InputError
from guided.rows import Row
from guided.search.effects import Plan, grow
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.search import Search
from guided.search.tokenwise import carry_on, commit, conclude, look_ahead, propose


@dataclass(frozen=True)
class AdaDec(Search):
    """AdaDec (He et al. 2025, arXiv 2506.08980), with one beam.

    Greedy where the next token's entropy is below `theta`. Elsewhere the likeliest tokens are each
    continued greedily for a few tokens, and the one is taken whose log-probability, averaged with
    those of its continuation, is highest.

    Args:
        theta: entropy in nats from which it looks ahead. A property of the model: learn it with
            `learn_threshold` or `guided adadec-threshold`; the paper's lie between 0.6 and 1.3.
        candidates: tokens to try.
        lookahead: tokens after each.
        weight: of the average (lambda); only whether it is 0 matters with one beam.
        stop: ends a continuation where it holds of the text so far, such as `body_ends` for the
            body of a function.

    Raises:
        InputError: a setting out of its range.
    """

    theta: float = 1.0
    candidates: int = 3
    lookahead: int = 5
    weight: float = 1.0
    stop: Callable[[str], bool] | None = None

    default_temperature: ClassVar[float] = 0.0
    needs_reward: ClassVar[bool] = False
    needs_draws: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if math.isnan(self.theta):
            raise InputError("AdaDec: theta is not a number")
        if self.candidates < 1:
            raise InputError(f"AdaDec: candidates must be at least 1, not {self.candidates}")
        if self.lookahead < 0:
            raise InputError(f"AdaDec: lookahead must not be negative, not {self.lookahead}")
        if not (self.weight >= 0 and math.isfinite(self.weight)):
            raise InputError(f"AdaDec: weight must not be negative, not {self.weight}")

    def controls(self, row: Row) -> list[Control]:
        for control in row.controls:
            if isinstance(control, Temperature) or control.stage == Stage.TRUNCATION:
                raise InputError(
                    "AdaDec measures the entropy of the model's own law and decodes greedily; "
                    "leave out temperature, top_k, top_p and min_p"
                )
        return list(row.controls)

    def plan(self, problem: Problem) -> Plan[None]:
        node = carry_on(problem, problem.root)
        pauses = 0
        while not node.is_over:
            entropy = node.branch.entropy()
            if entropy < self.theta:
                yield from grow([node], lambda branch: True, greedy=True)
                continue
            yield from problem.round([node], entropy=entropy)
            node = yield from self._pause(problem, node)
            pauses += 1
        yield from conclude(problem, node, pauses=pauses)

    def _pause(self, problem: Problem, node: Node) -> Plan[Node]:
        """The child with the best continuation; only its own token is kept."""
        children = propose(problem, node, self.candidates)
        branches = [child.branch for child in children]
        rollouts = yield from look_ahead(
            problem, branches, self.lookahead, greedy=True, stop=self.stop
        )
        for child, (rollout,) in zip(children, rollouts, strict=True):
            log_p = rollout.log_p[child.start :]
            child.facts["score"] = self.weight * sum(log_p) / len(log_p)
        problem.close([rollout for (rollout,) in rollouts])
        best = max(children, key=lambda child: child.facts["score"])
        problem.offer(best, len(best.branch.tokens))
        yield from commit(problem, [best], [c for c in children if c is not best], [node])
        return best


def body_ends(text: str) -> bool:
    """Whether the body of a function is over: a line that is not indented, or four blank lines."""
    lines = text.split("\n")
    return any(line and not line[0].isspace() for line in lines) or text.endswith("\n" * 5)
