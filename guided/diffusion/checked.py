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
        run, behind = _run(queue, rule, checker, commits.taken)
        if not run:
            candidate = heapq.heappop(queue)[2]
            if checker is None or not checker.is_behind(candidate):
                passed_over.append(candidate)
            continue
        accepted = len(run) if checker is None else checker.accepted(run)
        commits.taken += run[:accepted]
        if accepted == len(run):
            continue
        if checker is not None and checker.is_exhausted:
            break
        for each in (*run[accepted + 1 :], *behind):
            heapq.heappush(queue, (-each.score, each.slot, each))
        if (other := proposals.again(run[accepted])) is not None:
            heapq.heappush(queue, (-other.score, other.slot, other))
    return passed_over


def _run(
    queue: list[tuple[float, int, Candidate]],
    rule: Rule,
    checker: Checker | None,
    taken: list[Candidate],
) -> tuple[list[Candidate], list[Candidate]]:
    """The best candidates, taken off the queue, all of which the rule takes if all are allowed.

    And those that are passed over because they stand behind a stop token among them.
    """
    run: list[Candidate] = []
    behind: list[Candidate] = []
    stop_ids = checker.stop_ids if checker is not None else frozenset()
    end: int | None = None
    while queue:
        candidate = queue[0][2]
        if checker is not None and checker.is_behind(candidate):
            break
        if end is not None and candidate.slot > end:
            behind.append(heapq.heappop(queue)[2])
            continue
        if not rule([*taken, *run], candidate):
            break
        run.append(heapq.heappop(queue)[2])
        if candidate.token in stop_ids:
            end = candidate.slot
    return run, behind
