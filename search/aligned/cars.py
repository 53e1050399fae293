"""Adaptive rejection: exact draws that learn from what was rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from guided.controls.measured_mask import measuring
from guided.controls.protocol import Control
from guided.options import Aligns
from guided.rows import Row
from guided.search.aligned.asap import check_counts
from guided.search.aligned.drawing import Drawing
from guided.search.aligned.proposal import Opening, Proposal
from guided.search.aligned.rejection import certified
from guided.search.aligned.tries import Tries
from guided.search.effects import Plan
from guided.search.problem import Problem
from guided.search.search import Search


@dataclass(frozen=True)
class ARS(Search):
    """Independent exact draws from the model's law conditioned on the grammar; rejects adaptively.

    Adaptive rejection sampling: every attempt draws from the model's law conditioned on avoiding
    the prefixes that were rejected before, and is rejected at its first illegal token. What is
    accepted has the target's law whatever was learnt, and the rate of acceptance only grows.
    `CARS` learns more from every attempt. A reward, where there is one, chooses among the draws.

    Args:
        n: draws for every prompt.
        batch: attempts of a round, which share one pass; they go by what the rounds before have
            shown. None: twice as many as there were before, 8 to 64.
        tries: what was learnt is kept there for further calls.
        masks_first: mask the first token's law from the first attempt on.
        max_attempts: attempts at most; what was accepted until then is returned.

    Raises:
        InputError: a number out of its range.
    """

    n: int = 1
    batch: int | None = field(default=None, kw_only=True)
    tries: Tries | None = field(default=None, kw_only=True)
    masks_first: bool = field(default=True, kw_only=True)
    max_attempts: int = field(default=10_000, kw_only=True)

    aligns: ClassVar[Aligns] = "draws"
    needs_reward: ClassVar[bool] = False
    default_temperature: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        check_counts(self.n, self.batch, self.max_attempts)

    def controls(self, row: Row) -> Sequence[Control]:
        made = partial(
            Proposal.in_place_of, opening=Opening.EVERYWHERE, masks_root=self.masks_first
        )
        return measuring(row.controls, type(self).__name__, made)

    def plan(self, problem: Problem) -> Plan[None]:
        drawing = Drawing(problem, self.n, self.batch, self.max_attempts, tries=self.tries)
        yield from certified(problem, drawing)


@dataclass(frozen=True)
class CARS(Search):
    """Independent exact draws from the model's law conditioned on the grammar; learns from masks.

    Constrained adaptive rejection sampling (arXiv 2510.01902). As `ARS`, but an attempt teaches
    all that is illegal after each of its prefixes, as the grammar's mask says it: a prefix that
    was visited is masked from then on, and weighed by what is known below it. At prefixes that are
    new the law stays unmasked, so that an attempt may be rejected; masking them at once is `ASAp`,
    which never fails but is not exact. The first token is masked from the first attempt on.
    A reward, where there is one, chooses among the draws.

    Args:
        n: draws for every prompt.
        batch: attempts of a round, which share one pass; they go by what the rounds before have
            shown. None: twice as many as there were before, 8 to 64.
        tries: what was learnt is kept there for further calls, of `ASAp` too.
        max_attempts: attempts at most; what was accepted until then is returned.

    Raises:
        InputError: a number out of its range.
    """

    n: int = 1
    batch: int | None = field(default=None, kw_only=True)
    tries: Tries | None = field(default=None, kw_only=True)
    max_attempts: int = field(default=10_000, kw_only=True)

    aligns: ClassVar[Aligns] = "draws"
    needs_reward: ClassVar[bool] = False
    default_temperature: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        check_counts(self.n, self.batch, self.max_attempts)

    def controls(self, row: Row) -> Sequence[Control]:
        made = partial(Proposal.in_place_of, opening=Opening.NEW)
        return measuring(row.controls, type(self).__name__, made)

    def plan(self, problem: Problem) -> Plan[None]:
        drawing = Drawing(problem, self.n, self.batch, self.max_attempts, tries=self.tries)
        yield from certified(problem, drawing)
