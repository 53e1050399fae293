"""Constraints on a canvas: what a grammar allows, and how a step asks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from guided.diffusion.protocols import Candidate, Filling
from guided.diffusion.verdict import Verdict
from guided.errors import BudgetError, InputError
from guided.grammars.vocabulary import Vocabulary


@dataclass
class Tally:
    """What constraints were asked, in drafts too.

    Attributes:
        checks: proposals that were checked.
        rejections: of those, how many were refused.
        unknown: of those, how many were not answered in time.
    """

    checks: int = 0
    rejections: int = 0
    unknown: int = 0


@dataclass(frozen=True)
class Policy:
    """What to do where a constraint refuses.

    Attributes:
        resamples: refusals in one step after which the step gives up.
        unknown: whether a check without an answer counts as a refusal ("reject") or not ("accept").
        rescue: whether to fill in the constraint's own completion where decoding fails; else the
            canvas stays as it is.

    Raises:
        InputError: a value out of range.
    """

    resamples: int = 100
    unknown: Literal["reject", "accept"] = "reject"
    rescue: bool = True

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise InputError(f"resamples must be at least 1, not {self.resamples}")
        if self.unknown not in ("reject", "accept"):
            raise InputError(f'unknown is "reject" or "accept", not {self.unknown!r}')


@dataclass(frozen=True)
class Checked:
    """A constraint's view of a canvas with what it has refused so far: a persistent value.

    Adding tokens only shrinks what a canvas can become, so a refusal holds for good.
    """

    filling: Filling
    refused: frozenset[tuple[int, int]] = frozenset()


@dataclass
class Checker:
    """Asks a constraint about one step's proposals.

    Attributes:
        now: what the constraint knows, tokens accepted in this step included.
        was_unknown: whether some proposal was turned down for want of an answer.
    """

    now: Checked
    policy: Policy
    tally: Tally
    was_unknown: bool = False
    _refusals: int = field(default=0, repr=False)

    @property
    def is_exhausted(self) -> bool:
        """Whether so many proposals were refused that the step gives up."""
        return self._refusals >= self.policy.resamples

    def allows(self, candidate: Candidate) -> bool:
        """Whether the token is accepted; if so, it is taken into `now`."""
        slot, token = candidate.slot, candidate.token
        self.tally.checks += 1
        verdict = self.now.filling.check(slot, token)
        if verdict is Verdict.UNKNOWN:
            self.tally.unknown += 1
            if self.policy.unknown == "reject":
                return self._refuse(unknown=True)
        if verdict is Verdict.NO:
            self.now = replace(self.now, refused=self.now.refused | {(slot, token)})
            return self._refuse()
        after = self.now.filling.fix({slot: token})
        if after is None:
            return self._refuse()
        self.now = replace(self.now, filling=after)
        return True

    def _refuse(self, unknown: bool = False) -> bool:
        self._refusals += 1
        self.tally.rejections += not unknown
        self.was_unknown |= unknown
        return False


@dataclass(frozen=True)
class GrammarConstraint:
    """The canvas's text, up to its first stop token, has to be in the grammar's language."""

    grammar: Any
    vocabulary: Vocabulary

    def begin(self, slots: int) -> Filling:
        filling: Filling = self.grammar.canvas(self.vocabulary, slots)
        return filling


def started(filling: Filling, fixed: Mapping[int, int], slots: int) -> Checked:
    """What is known once the template's tokens stand on the canvas.

    Raises:
        BudgetError: the canvas is too short, or contradicts the constraint.
    """
    after = filling.fix(dict(fixed)) if fixed else filling
    if after is None:
        raise BudgetError(
            "the template's fixed text contradicts the constraint, or its holes are too short:"
            f" no way to fill the {slots - len(fixed)} open slots is valid"
        )
    return Checked(after)
