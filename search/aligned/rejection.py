"""Plain rejection: texts of the model itself, kept where they are in the language."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from guided.certificates import RejectionCertificate
from guided.controls.measured_mask import measuring
from guided.controls.protocol import Control
from guided.options import Aligns
from guided.rows import Row
from guided.search.aligned.asap import check_counts
from guided.search.aligned.drawing import Drawing
from guided.search.aligned.proposal import Opening, Proposal
from guided.search.effects import Plan
from guided.search.problem import Problem
from guided.search.search import Search


@dataclass(frozen=True)
class Rejection(Search):
    """Independent exact draws from the model's law conditioned on the grammar, by trial and error.

    Draws from the model's own law and rejects a text at its first illegal token. Exact, and 1 / Z
    attempts for each text, where Z is the probability that the model keeps to the grammar by
    itself; `CARS` learns from what it rejects. A reward, where there is one, chooses among the
    draws.

    Args:
        n: draws for every prompt.
        batch: attempts of a round, which share one pass. None: twice as many as there were
            before, 8 to 64.
        masks_first: mask the first token's law, which spares attempts and stays exact, since all
            that is accepted has passed the same mask.
        max_attempts: attempts at most; what was accepted until then is returned.

    Raises:
        InputError: a number out of its range.
    """

    n: int = 1
    batch: int | None = field(default=None, kw_only=True)
    masks_first: bool = field(default=False, kw_only=True)
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
        drawing = Drawing(problem, self.n, self.batch, self.max_attempts, learns=False)
        yield from certified(problem, drawing)


def certified(problem: Problem, drawing: Drawing) -> Plan[None]:
    """Draws, and gives the problem the certificate of rejection however that ends."""
    whole = False
    try:
        yield from drawing.run()
        whole = problem.gave_up is None
    finally:
        certificate = certificate_of(problem, drawing, cut=not whole)
        problem.certificate = certificate
        problem.log_z = certificate.log_z if certificate.z > 0 else None


def certificate_of(problem: Problem, drawing: Drawing, cut: bool) -> RejectionCertificate:
    """What is known of Z and of the draws.

    Args:
        cut: whether a limit has ended the search.
    """
    trie = drawing.trie
    count, mean, error = trie.attempts, math.nan, math.nan
    if count:
        mean = trie.total / count
    if count > 1:
        spread = max(0.0, trie.squares / count - mean * mean)
        error = math.sqrt(spread / (count - 1))
    return RejectionCertificate(
        attempts=drawing.attempts,
        accepted=drawing.accepted,
        log_bound=trie.log_bound,
        log_drawn=trie.log_drawn,
        z=mean,
        z_error=error,
        passes=problem.ledger.passes,
        cut=cut,
    )
