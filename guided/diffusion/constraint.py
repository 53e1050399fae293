"""Constraints on a canvas: what a grammar allows, and how a step asks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from guided.diffusion.protocols import Candidate, Filling, is_judged
from guided.errors import BudgetError, InputError
from guided.grammars.canvas import GAP, MASKED, Canvas, CanvasLimits, Gap, Masked, Slot, Verdict
from guided.grammars.grammar import Grammar
from guided.grammars.vocabulary import Vocabulary

#: Characters of the text before a contradiction that a message shows.
_SHOWN = 40


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
        stop_ids: tokens that end the text: slots behind an accepted one are not asked about.
        end: the slot of the stop token accepted in this step; None: none was.
        was_unknown: whether some proposal was turned down for want of an answer.
    """

    now: Checked
    policy: Policy
    tally: Tally
    stop_ids: frozenset[int] = frozenset()
    end: int | None = None
    was_unknown: bool = False
    _refusals: int = field(default=0, repr=False)

    @property
    def is_exhausted(self) -> bool:
        """Whether so many proposals were refused that the step gives up."""
        return self._refusals >= self.policy.resamples

    def accepted(self, candidates: Sequence[Candidate]) -> int:
        """How many of the first candidates are accepted, one after the other, up to a refusal.

        Those are taken into `now`. The answer is what asking one by one would give, but cheaper
        where all are accepted: tokens that can stand together can be added in any order. It may
        accept more where a canvas with some of them has no answer and the one with all has.
        None may stand behind a stop token that comes before it.
        """
        if len(candidates) == 1:
            return int(self.allows(candidates[0]))
        if self._takes_all(candidates):
            return len(candidates)
        half = len(candidates) // 2
        first = self.accepted(candidates[:half])
        return first if first < half else half + self.accepted(candidates[half:])

    def _takes_all(self, candidates: Sequence[Candidate]) -> bool:
        """Whether all tokens can stand together for certain; if so, they are taken into `now`."""
        filling = self._with_all(candidates)
        if filling is None:
            return False
        self.tally.checks += len(candidates)
        self.now = replace(self.now, filling=filling)
        stops = [each.slot for each in candidates if each.token in self.stop_ids]
        self.end = min(stops, default=self.end)
        return True

    def _with_all(self, candidates: Sequence[Candidate]) -> Filling | None:
        """The filling with all tokens, None where it is not certain that it can be completed."""
        now = self.now.filling
        if is_judged(now):
            whole = now.fix({each.slot: each.token for each in candidates})
            certain = whole is not None and is_judged(whole) and whole.verdict is Verdict.YES
            return whole if certain else None
        *others, last = candidates
        before = now.fix({each.slot: each.token for each in others})
        if before is None or before.check(last.slot, last.token) is not Verdict.YES:
            return None
        return before.fix({last.slot: last.token})

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
        if token in self.stop_ids:
            self.end = slot
        return True

    def is_behind(self, candidate: Candidate) -> bool:
        """Whether its slot stands behind a stop token accepted in this step."""
        return self.end is not None and candidate.slot > self.end

    def _refuse(self, unknown: bool = False) -> bool:
        self._refusals += 1
        self.tally.rejections += not unknown
        self.was_unknown |= unknown
        return False


@dataclass(frozen=True)
class GrammarConstraint:
    """The canvas's text, up to its first stop token, has to be in the grammar's language.

    Attributes:
        limits: how much work one answer may take; None: the engine's default.
    """

    grammar: Grammar
    vocabulary: Vocabulary
    limits: CanvasLimits | None = None

    def begin(self, slots: Sequence[int | None]) -> Filling:
        canvas = self.grammar.canvas(self.vocabulary, _as_slots(slots, MASKED), limits=self.limits)
        if canvas.verdict is Verdict.NO:
            raise self._refusal(slots)
        return canvas

    def _refusal(self, slots: Sequence[int | None]) -> BudgetError:
        """What is wrong with a canvas that cannot be completed."""
        gaps = [
            slot
            for at, slot in enumerate(slots)
            if slot is not None or at == 0 or slots[at - 1] is not None
        ]
        free = self.grammar.canvas(self.vocabulary, _as_slots(gaps, GAP), limits=self.limits)
        found = free.completion()
        if found is None and any(slot is not None for slot in slots):
            return BudgetError(
                "the template's fixed text contradicts the grammar: no text has it in this order,"
                f" whatever the holes hold{contradiction(free)}"
            )
        needed = len(found.tokens) if found is not None else 0
        advice = f"; a canvas of {needed} slots suffices" if needed else ""
        holes = sum(slot is None for slot in slots)
        return BudgetError(
            f"nothing valid fits into {holes} open slots of {len(slots)}{advice}", needed
        )


def contradiction(canvas: Canvas) -> str:
    """Which fixed text cannot be, to be added to a message; nothing where it is not known."""
    at = canvas.obstacle
    if at is None:
        return ""
    begin = at
    while begin and isinstance(canvas.slots[begin - 1], int):
        begin -= 1
    before = _shown(canvas, begin, at)[-_SHOWN:]
    if at == len(canvas.slots):
        return f"; no text ends with {before!r}" if before else "; no text ends there"
    what = repr(_shown(canvas, at, at + 1))
    if before:
        return f"; {what} cannot follow {before!r}"
    return f"; no text has {what} there" if at else f"; no text begins with {what}"


def _shown(canvas: Canvas, begin: int, end: int) -> str:
    tokens = [slot for slot in canvas.slots[begin:end] if isinstance(slot, int)]
    return canvas.vocabulary.decode(tokens).decode(errors="replace")


def _as_slots(slots: Sequence[int | None], hole: Masked | Gap) -> list[Slot]:
    return [hole if slot is None else slot for slot in slots]
