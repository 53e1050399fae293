"""What a method asks for: sequences to be grown, texts to be scored, a round to be shown.

A method is a generator of such wishes. Whoever runs it fulfils those of many prompts together, so
that the model and the reward see full batches, and stops it where the budget ends.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from guided.decoding import Branch, Decoder, Segment
from guided.rewards.scorer import Score, Scorer
from guided.search.laws import Laws
from guided.search.node import Node

T = TypeVar("T")
Until = Callable[[Branch], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Grow:
    """Every branch is to grow until it ends or `until` holds.

    Attributes:
        greedy: take the likeliest token, whatever the search's way of drawing is.
        decoder: another model's than the search's own.
        final: finishes texts on the tokens that the budget keeps back; a method may ask for that
            after its budget has ended.
        laws: where what the model says after prefixes is kept between wishes.
    """

    branches: Sequence[Branch]
    until: Until | None = None
    greedy: bool = False
    decoder: Decoder | None = None
    final: bool = False
    laws: Laws | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Weigh:
    """The reward's scores of nodes, or of branches that are no nodes, are wanted.

    Attributes:
        scorer: another reward's than the search's own; nodes do not keep its scores.
    """

    texts: Sequence[Node | Branch]
    scorer: Scorer | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """What one iteration has come to: what a caller sees and a trace keeps.

    Attributes:
        number: counts from 1.
        alive: the nodes that the search goes on with.
        info: figures of the method: effective sample size, the best key of the frontier, …
        best: the best so far, complete where there is any.
        spent: what has been spent, by name.
        problem: number of the prompt.
    """

    number: int
    alive: Sequence[Node]
    info: Mapping[str, Any] = field(default_factory=dict)
    best: Node | None = None
    spent: Mapping[str, float] = field(default_factory=dict)
    problem: int = 0


Effect = Grow | Weigh | Round
Plan = Generator[Effect, Any, T]


def grow(
    nodes: Sequence[Node],
    until: Until | None = None,
    *,
    greedy: bool = False,
) -> Plan[list[Segment]]:
    """Grows the nodes' branches; what was added to each."""
    segments: list[Segment] = yield Grow([node.branch for node in nodes], until, greedy)
    return segments


def grow_branches(
    branches: Sequence[Branch],
    until: Until | None = None,
    *,
    greedy: bool = False,
    decoder: Decoder | None = None,
    laws: Laws | None = None,
) -> Plan[list[Segment]]:
    """Grows branches that are no nodes, like rollouts; what was added to each."""
    segments: list[Segment] = yield Grow(branches, until, greedy, decoder, laws=laws)
    return segments


def finish(nodes: Sequence[Node]) -> Plan[None]:
    """Grows nodes to their end, on the tokens that the budget keeps back for that.

    Greedily, unless a control only holds for tokens that are drawn.
    """
    branches = [node.branch for node in nodes]
    controls = [control for branch in branches for control in branch.pipeline.controls]
    greedy = not any(control.needs_draws for control in controls)
    yield Grow(branches, greedy=greedy, final=True)


def weigh(texts: Sequence[Node | Branch], scorer: Scorer | None = None) -> Plan[list[Score]]:
    """Scores texts by the reward, or by another `scorer`; a node keeps the reward's score."""
    scores: list[Score] = yield Weigh(texts, scorer)
    return scores
