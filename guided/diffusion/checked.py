"""Which proposals a step commits: as many as the rule takes, each one checked by the constraint."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from guided.diffusion.constraint import Checker
from guided.diffusion.proposals import Proposals
from guided.diffusion.protocols import Candidate, Rule


@dataclass
class Commits:
    """What a step commits.

    Attributes:
        taken: in the order in which they were accepted.
        failed: whether nothing could be committed although something had to be.
    """

    taken: list[Candidate] = field(default_factory=list)
    failed: bool = False


def chosen(
    proposals: Proposals, rule: Rule, checker: Checker | None, *, may_wait: bool = False
) -> Commits:
    """The proposals that the rule takes and the constraint allows, best first.

    A refused token is replaced by the slot's next one, which queues up by its own score. If the
    rule takes nothing that is allowed, the best allowed candidate is committed nevertheless, unless
    the step `may_wait`.
    """
    commits = Commits()
    passed_over = _offer(proposals.candidates, proposals, rule, checker, commits)
    if not commits.taken and not (may_wait and len(passed_over) == len(proposals.candidates)):
        _offer(passed_over, proposals, lambda taken, _: not taken, checker, commits)
        commits.failed = not commits.taken
    return commits


def _offer(
    candidates: Iterable[Candidate],
    proposals: Proposals,
    rule: Rule,
    checker: Checker | None,
    commits: Commits,
) -> list[Candidate]:
    """Candidates that the rule passes over; those that it takes are checked and committed."""
    queue = [(-each.score, each.slot, each) for each in candidates]
    heapq.heapify(queue)
    passed_over = []
    while queue:
        _, _, candidate = heapq.heappop(queue)
        if checker is not None and checker.is_behind(candidate):
            continue
        if not rule(commits.taken, candidate):
            passed_over.append(candidate)
        elif checker is None or checker.allows(candidate):
            commits.taken.append(candidate)
        elif checker.is_exhausted:
            break
        elif (other := proposals.again(candidate)) is not None:
            heapq.heappush(queue, (-other.score, other.slot, other))
    return passed_over
