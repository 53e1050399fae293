"""ASAp: draws in the language whose law tends to the model's own, conditioned on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from guided.certificates import ASApCertificate
from guided.controls.measured_mask import measuring
from guided.controls.protocol import Control
from guided.errors import InputError
from guided.options import Aligns
from guided.rows import Row
from guided.search.aligned.drawing import Drawing
from guided.search.aligned.prefix_trie import log_sum
from guided.search.aligned.proposal import Opening, Proposal
from guided.search.aligned.tries import Tries
from guided.search.effects import Plan
from guided.search.problem import Problem
from guided.search.search import Search


@dataclass(frozen=True)
class ASAp(Search):
    """Draws by a mask that learns from every draw how much of the law it cuts off later on.

    Adaptive sampling with approximate expected futures (arXiv 2405.21047). The first draw has the
    law of plain masking; the law of later ones tends to the target, the model's law conditioned on
    the grammar, which takes hundreds of draws unless the language is small. Every draw is a text
    of the grammar. The certificate bounds how far the law still is, and `Candidate.weight` corrects
    what is left: averages with these weights tend to those of the target for any n. A reward,
    where there is one, chooses among the draws.

    Args:
        n: draws for every prompt.
        batch: draws of a round, which share one pass; they go by what the rounds before have
            shown. None: twice as many as there were before, 8 to 64.
        tries: what was learnt is kept there for further calls.
        max_attempts: draws at most; more than n are needed only where the model leaves nothing
            legal behind a legal prefix, as truncated laws do. None: ten times n.

    Raises:
        InputError: a number out of its range.
    """

    n: int = 1
    batch: int | None = field(default=None, kw_only=True)
    tries: Tries | None = field(default=None, kw_only=True)
    max_attempts: int | None = field(default=None, kw_only=True)

    aligns: ClassVar[Aligns] = "draws"
    needs_reward: ClassVar[bool] = False
    default_temperature: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        check_counts(self.n, self.batch, self.max_attempts)

    def controls(self, row: Row) -> Sequence[Control]:
        made = partial(Proposal.in_place_of, opening=Opening.NOWHERE)
        return measuring(row.controls, type(self).__name__, made)

    def plan(self, problem: Problem) -> Plan[None]:
        drawing = Drawing(
            problem,
            self.n,
            self.batch,
            self.max_attempts if self.max_attempts is not None else 10 * self.n,
            tries=self.tries,
        )
        try:
            yield from drawing.run()
        finally:
            _certify(problem, drawing)


def _certify(problem: Problem, drawing: Drawing) -> None:
    """Gives the problem its certificate, and the texts their weights."""
    weights, trie = drawing.log_weights, drawing.trie
    problem.log_z = log_sum(weights) - math.log(len(weights)) if weights else None
    problem.certificate = ASApCertificate(
        trie.log_bound,
        trie.log_drawn,
        trie.distance,
        tuple(drawing.distances),
        tuple(drawing.proofs),
        problem.log_z,
    )
    total = log_sum(drawing.own_weights)
    for node, weight in zip(drawing.texts, drawing.own_weights, strict=True):
        node.facts["log_weight"] = weight - total


def check_counts(n: int, batch: int | None, max_attempts: int | None) -> None:
    """Refuses counts that nothing can be drawn with.

    Raises:
        InputError: one that is below 1, or fewer attempts than texts wanted.
    """
    for name, value in (("n", n), ("batch", batch)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")
    if max_attempts is not None and max_attempts < n:
        raise InputError(f"max_attempts={max_attempts} is too few for n={n} texts")
