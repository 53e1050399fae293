"""DeAL: beam search by likelihood plus a heuristic that looks ahead."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from guided.errors import InputError
from guided.model import Model, Prompt
from guided.rewards.scorer import Scorer
from guided.search.effects import Plan, weigh
from guided.search.node import Node
from guided.search.problem import Problem
from guided.search.search import Search
from guided.search.start_state import adapted
from guided.search.token_beam import beam_ends
from guided.search.tokenwise import commit, conclude, look_ahead, propose


@dataclass(frozen=True)
class DeAL(Search):
    """Decoding-time alignment as search (Huang et al. 2024, arXiv 2402.06147).

    Candidates are ranked by c = log P(text) + weight * h, where h is the reward of the text that
    the model would write after the candidate (greedily, `lookahead` tokens), and P the law under
    the controls. The best `beams` of all candidates go on, complete texts among them, until all
    are complete. With weight 0 this is beam search, with one beam greedy decoding.

    Args:
        k: likeliest tokens that each beam tries; of segments, the width of the beam search that
            proposes them.
        lookahead: tokens that the heuristic sees beyond a candidate (None: to the end of the
            text); of segments, their length.
        weight: of the heuristic; infinity ranks by it alone, and by log P where it is equal.
        beams: texts that are kept.
        granularity: "token" decides on every token; "segment" on segments, without looking ahead.
        hard: h below this breaks the constraint: such candidates come behind all others.
        length_penalty: log P is divided by (number of tokens) to this power in all comparisons;
            0, plain sums, favours short texts.
        start: start-state adaptation: an instruction for the prompt. Text with "{prompt}" in it is
            a template, other text is put in front; a function makes prompts of prompts. The
            reward sees the prompt without it.

    Raises:
        InputError: a setting out of its range.
    """

    k: int = 10
    lookahead: int | None = 32
    weight: float = 1.0
    beams: int = 1
    granularity: Literal["token", "segment"] = "token"
    hard: float | None = None
    length_penalty: float = 0.0
    start: str | Callable[[Prompt], Prompt] | None = None

    default_temperature: ClassVar[float] = 0.0
    needs_reward: ClassVar[bool] = False
    needs_draws: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("k", "beams"):
            if getattr(self, name) < 1:
                raise InputError(f"DeAL: {name} must be at least 1, not {getattr(self, name)}")
        least = 0 if self.granularity == "token" else 1
        if self.lookahead is not None and self.lookahead < least:
            raise InputError(f"DeAL: lookahead must be at least {least}, not {self.lookahead}")
        if self.granularity not in ("token", "segment"):
            raise InputError(
                f'DeAL: granularity must be "token" or "segment", not {self.granularity!r}'
            )
        if not self.weight >= 0:
            raise InputError(f"DeAL: weight must not be negative, not {self.weight}")
        if not (self.length_penalty >= 0 and math.isfinite(self.length_penalty)):
            raise InputError(
                f"DeAL: length_penalty must not be negative, not {self.length_penalty}"
            )

    @property
    def _asks(self) -> bool:
        """Whether the heuristic matters at all."""
        return self.weight > 0 or self.hard is not None

    def check(self, model: Model, scorer: Scorer | None) -> None:
        if self._asks and scorer is None:
            raise InputError("DeAL needs a reward as its heuristic; pass reward=, or weight=0")

    def adapt(self, prompt: Prompt) -> Prompt:
        return adapted(prompt, self.start)

    def plan(self, problem: Problem) -> Plan[None]:
        beams = [problem.root]
        problem.root.facts["log_law"] = 0.0
        problem.offer(problem.root, -math.inf, -math.inf, -math.inf)
        while live := [beam for beam in beams if not beam.is_over]:
            if self.granularity == "token":
                kept = yield from self._tokens(problem, live, beams)
            else:
                kept = yield from self._segments(problem, live, beams)
            beams = kept
            if not all(beam.is_over for beam in beams):
                yield from problem.round(beams, best=self._rank(beams[0])[1])
        yield from conclude(problem, beams[0])

    def _tokens(
        self, problem: Problem, live: Sequence[Node], beams: Sequence[Node]
    ) -> Plan[list[Node]]:
        """The beams after one more token."""
        children = [child for beam in live for child in propose(problem, beam, self.k)]
        for child in children:
            _add_up(child)
        yield from self._judge(problem, children)
        kept, left = self._best(children, beams)
        for node in kept:
            problem.offer(node, *self._rank(node))
        taken = [node for node in kept if node.parent in live and node not in beams]
        yield from commit(problem, taken, left, live)
        return kept

    def _judge(self, problem: Problem, children: Sequence[Node]) -> Plan[None]:
        """Notes the heuristic of what the model would write after each candidate."""
        if not self._asks:
            return
        branches = [child.branch for child in children]
        rollouts = yield from look_ahead(problem, branches, self.lookahead, greedy=True)
        seen = [rollout for (rollout,) in rollouts]
        scores = yield from weigh(seen)
        problem.close(seen)
        for child, score in zip(children, scores, strict=True):
            child.facts["h"] = score.value

    def _segments(
        self, problem: Problem, live: Sequence[Node], beams: Sequence[Node]
    ) -> Plan[list[Node]]:
        """The beams after one more segment."""
        ends = yield from beam_ends(problem, live, self.k, self.lookahead)
        if self._asks:
            scores = yield from weigh(ends)
            for node, score in zip(ends, scores, strict=True):
                node.facts["h"] = score.value
        kept, left = self._best(ends, beams)
        for node in kept:
            problem.offer(node, *self._rank(node))
        for node in [*left, *live]:
            problem.record_facts(node)
            problem.withdraw(node)
        problem.close([node.branch for node in [*left, *live]])
        return kept

    def _best(
        self, candidates: Sequence[Node], beams: Sequence[Node]
    ) -> tuple[list[Node], list[Node]]:
        """The beams of the next round, the best first, and the candidates that are left out."""
        pool = [*candidates, *(beam for beam in beams if beam.is_over)]
        ranked = sorted(pool, key=self._rank, reverse=True)
        return ranked[: self.beams], ranked[self.beams :]

    def _rank(self, node: Node) -> tuple[float, float, float]:
        """Whether the hard constraint holds, c, log P."""
        log_p, h = node.facts["log_law"], node.facts.get("h", 0.0)
        log_p /= max(1, len(node.branch.tokens)) ** self.length_penalty
        holds = float(self.hard is None or h >= self.hard)
        if self.weight == math.inf:
            return holds, h, log_p
        return holds, log_p + self.weight * h, log_p


def _add_up(child: Node) -> None:
    """Makes the log-probability of a candidate that of the whole text."""
    if child.parent is not None:
        child.facts["log_law"] += child.parent.facts["log_law"]
