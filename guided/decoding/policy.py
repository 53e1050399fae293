"""How many guesses are worth a place in the next pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from guided.decoding.branch import Branch
from guided.decoding.cost import CostModel
from guided.decoding.drafts import Draft
from guided.decoding.tallies import Tallies
from guided.kernels import draft_choice, draft_judging
from guided.kernels.direct_calls import Direct

_choose, _judge = Direct(draft_choice.choose), Direct(draft_judging.judge)
#: Guesses per row that may be tried in one pass, by the number of rows; beyond the last, none:
#: there a pass is filled by the rows alone, and looking for guesses costs more than it saves.
_MOST = ((1, 31), (2, 27), (4, 23), (8, 19), (16, 13), (32, 7), (256, 3))
#: How much more must come out in the same time for guesses to be tried.
_MARGIN = 1.03
#: Observations that the luck of other rows counts as for a new one.
_SHARED_LUCK = 4.0
#: Share of the passes' time that looking for guesses and trying them may lose; the passes' worth
#: of time that it may lose at once; and at first, when it has to be found out what passes cost.
_SHARE, _CREDIT, _FIRST_CREDIT = 0.01, 0.75, 2.0
#: The most that can be saved up in a text by guesses that come true.
_CREDIT_MOST = 8.0
#: What a new text may lose of each pass that guesses have saved in one, lately, and at most.
_HANDED_ON, _HANDED_MOST = 0.25, 1.0
#: What guesses that have come true so far may lose on top when they do not.
_TRUST = 0.5
#: Weight of the last text in what is usual for texts.
_LATEST = 0.5
#: The longest rest, in passes, until guesses that may pay are affordable.
_REST_MOST = 32
#: What looking for guesses counts for at most while it is new: that is when code is loaded.
_NEW = 0.25
#: How much of what others have lost a new text is let off, as a share of the passes of usual ones.
_LET_OFF = 0.02
#: Rounds of as many rows that are all timed, and of how many later ones one is: what a pass costs
#: is known by then, and taking it in at every pass takes longer than what would change.
_ALL_TIMED, _EVERY = 64, 4


@dataclass(slots=True)
class Fixed:
    """Always the likeliest `nodes` guesses, whatever they cost."""

    most_rows: ClassVar[float] = float("inf")

    nodes: int

    def room(self, branches: Sequence[Branch]) -> int:
        """The most guesses that each branch may get."""
        return self.nodes

    def chosen(self, branches: Sequence[Branch], drafts: Sequence[Draft]) -> list[Draft]:
        """The drafts with the nodes that are to be tried."""
        return [draft.keep(_best(draft.reached())[: self.nodes]) for draft in drafts]

    def base(self, rows: int) -> float | None:
        """Not known."""
        return None

    def judged(
        self, branch: Branch, draft: Draft, stood: Sequence[int], said: Sequence[int]
    ) -> None:
        """Nothing to learn."""

    def timed(self, rows: int, width: int, seconds: float) -> None:
        """Nothing to learn."""

    def levelled(self, seconds: float) -> None:
        """Nothing to learn."""

    def drafted(self, rows: int, seconds: float) -> None:
        """Nothing to learn."""

    def forked(self, branch: Branch, child: Branch) -> None:
        """Nothing to learn."""


@dataclass(slots=True)
class Adaptive:
    """As many guesses as pay, by what passes cost and how often such guesses came true.

    A draft's own chances are calibrated by source; rows that guess worse than others get less.

    What drafting loses is bounded: there is a credit, in passes
    without guesses. Looking for guesses takes from it what that costs, passes with guesses what
    they take longer; guesses that come true add the passes that they save, and every pass adds a
    hundredth of itself, up to three quarters of one. There is no looking for guesses, and no
    trying them, beyond the credit. What was saved in one text is not spent in others, but for a
    part of what has been usual lately; and a text begins with a hundredth of usual passes, if no
    more than two are missing, so that it does not pay for others either. In the long run a text
    without guesses that come true loses no more than three hundredths.

    Args:
        most: the most guesses per row.
    """

    most_rows: ClassVar[float] = _MOST[-1][0]

    most: int = 31
    cost: CostModel = field(default_factory=CostModel)
    tallies: Tallies = field(default_factory=Tallies)
    #: Under which branches hold how lucky they have been, and whether they were seen.
    _key: object = field(default_factory=object)
    _seen: object = field(default_factory=object)
    _recent: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    # Arrays that kernels read, kept for the next round of as many rows.
    _bounds: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2, np.int64))
    _lucks: NDArray[np.float64] = field(default_factory=lambda: np.ones(1))
    _path: NDArray[np.int64] = field(default_factory=lambda: np.empty((2, 32), np.int64))
    _credit: float = _FIRST_CREDIT
    #: What guesses have saved in this text, net, and its passes so far; what is usual.
    _saved: float = 0.0
    _passes: int = 0
    _usually_saved: float = 0.0
    _usual_passes: float = 0.0
    #: The credit from which on it is worth looking again.
    _awaited: float = 0.0
    _rows: int = 1
    #: Rows and width of a pass that counts when it is known what one without guesses takes.
    _owed: tuple[int, int] | None = None
    #: Rounds of so many rows, and whether the times of the one at hand are taken in.
    _rounds: dict[int, int] = field(default_factory=dict)
    _is_timed: bool = True
    #: The costs for so many rows, until more is known of them.
    _costs: tuple[int, tuple[NDArray[np.float64], float, float]] | None = None

    def room(self, branches: Sequence[Branch]) -> int:
        """The most guesses that each branch may get; 0 while drafting has no credit."""
        rows = len(branches)
        rounds = self._rounds[rows] = self._rounds.get(rows, 0) + 1
        self._is_timed = rounds <= _ALL_TIMED or rounds % _EVERY == 0
        if self._are_new(branches):
            self._begin()
        least = max(self._awaited, self._looking(rows))
        # There is never more than that without guesses that come true.
        if self._credit < min(least, _CREDIT):
            return 0
        self._awaited = 0.0
        found = next((nodes for batch, nodes in _MOST if rows <= batch), 0)
        return min(found, self.most)

    def _begin(self) -> None:
        """Settles what the last text has left over."""
        if not self._passes:
            return
        latest = _LATEST if self._usual_passes else 1.0
        self._usually_saved += latest * (self._saved - self._usually_saved)
        self._usual_passes += latest * (self._passes - self._usual_passes)
        handed = min(_HANDED_MOST, max(0.0, _HANDED_ON * self._usually_saved))
        least = min(_CREDIT, _SHARE * self._usual_passes)
        least = min(least, self._credit + _LET_OFF * self._usual_passes)
        self._credit = max(least, min(self._credit, _CREDIT + handed))
        self._saved, self._passes, self._awaited = 0.0, 0, 0.0

    def _are_new(self, branches: Sequence[Branch]) -> bool:
        """Whether none of the branches was seen before."""
        found, seen = True, self._seen
        for branch in branches:
            if seen in branch.notes:
                found = False
            else:
                branch.notes[seen] = True
        return found

    def _looking(self, rows: int) -> float:
        """Passes' worth of time that looking for guesses takes, as far as known."""
        base, (seconds, is_warm) = self.cost.base(rows), self.cost.drafting_mean(rows)
        if base is None:
            return 0.0
        return seconds / base if is_warm else min(_NEW, seconds / base)

    def chosen(self, branches: Sequence[Branch], drafts: Sequence[Draft]) -> list[Draft]:
        """The drafts with the nodes that are to be tried."""
        width, lacking, found = self._choice(branches, drafts)
        if width == 0 and lacking > 0:
            self._awaited = min(_CREDIT, self._credit + min(lacking, _REST_MOST * _SHARE))
        return found

    def _choice(
        self, branches: Sequence[Branch], drafts: Sequence[Draft]
    ) -> tuple[int, float, list[Draft]]:
        """Nodes for each row at which most tokens come out in the same time, the credit that is
        lacking for any, and the drafts with the likeliest of theirs.
        """
        rows = len(branches)
        if not any(map(len, drafts)):
            return 0, 0.0, list(drafts)
        if rows == 1:
            nodes, chances = drafts[0].nodes
        else:
            nodes = np.concatenate([draft.nodes.numbers for draft in drafts])
            chances = np.concatenate([draft.nodes.chances for draft in drafts])
        kept, sure = np.empty((len(nodes), 3), np.int64), np.empty(len(nodes))
        bounds, lucks = self._bounds, self._lucks
        if len(lucks) != rows:
            bounds = self._bounds = np.zeros(rows + 1, np.int64)
            lucks = self._lucks = np.empty(rows)
        end = 0
        for row, draft in enumerate(drafts):
            end += len(draft)
            bounds[row + 1], lucks[row] = end, self._luck_factor(branches[row])
        width, lacking = _choose(
            bounds, nodes, chances, lucks, self.tallies.cover(), *self._costs_of(rows), _MARGIN,
            self._credit, _TRUST, kept, sure,
        )  # fmt: skip
        if width == 0:
            return 0, lacking, [Draft() for _ in drafts]
        return (
            width,
            lacking,
            [
                draft
                if width >= len(draft)
                else Draft.of(kept[begin : begin + width], sure[begin : begin + width])
                for draft, begin in zip(drafts, bounds.tolist(), strict=False)
            ],
        )

    def _costs_of(self, rows: int) -> tuple[NDArray[np.float64], float, float]:
        """Seconds of passes, of drafting and of drawing once more, as far as known."""
        found = self._costs
        if found is None or found[0] != rows:
            cost = self.cost
            found = rows, (cost.known(rows), cost.draft_seconds(rows), cost.level_seconds)
            self._costs = found
        return found[1]

    def base(self, rows: int) -> float | None:
        """Seconds of a pass of a single token for each row, None if never measured."""
        return self.cost.base(rows)

    def _luck_factor(self, branch: Branch) -> float:
        """By how much a row's guesses come true more often than others."""
        hits, expected = self._luck_of(branch)
        return min(1.15, (hits + 2) / (expected + 2))

    def _luck_of(self, branch: Branch) -> list[float]:
        """Guesses of a row that came true, and how many were expected to, lately.

        A new row is taken to be as lucky as others have been.
        """
        found: NDArray[np.float64] | None = branch.notes.get(self._key)
        if found is not None:
            return cast(list[float], found.tolist())
        hits, expected = self._recent.tolist()
        return [_SHARED_LUCK * (hits + 2) / (expected + 2), _SHARED_LUCK]

    def judged(
        self, branch: Branch, draft: Draft, stood: Sequence[int], said: Sequence[int]
    ) -> None:
        """Learns from what was drawn at some nodes."""
        count = len(stood)
        # Arrays that are kept: making them takes longer than all that is learnt.
        if count > self._path.shape[1]:
            self._path = np.empty((2, 2 * count), np.int64)
        for at in range(count):
            self._path[0, at], self._path[1, at] = stood[at], said[at]
        luck = branch.notes.get(self._key)
        if luck is None:
            luck = np.array(self._luck_of(branch))
        nodes, chances = draft.nodes
        hits, tried = _judge(
            nodes, chances, self._path, count, self.tallies.cover(), luck, self._recent
        )
        if tried:
            branch.notes[self._key] = luck
        if hits:
            self._earn(hits / self._rows)

    def timed(self, rows: int, width: int, seconds: float) -> None:
        """Learns what a pass costs."""
        self._rows = rows
        if self._is_timed or (width > 1 and self.cost.excess(rows, width) is None):
            self._costs = None
            self.cost.timed(rows, width, seconds)
        if width > 1:
            self._owe(rows, width)
        elif self._owed is not None:
            owed, self._owed = self._owed, None
            self._owe(*owed)
        self._passes += 1
        if self._credit < _CREDIT:
            self._credit = min(_CREDIT, self._credit + _SHARE)

    def _owe(self, rows: int, width: int) -> None:
        """Takes what a pass with guesses has cost more than one without from the credit."""
        # By what such passes take on average: one alone says more of the machine.
        excess = self.cost.excess(rows, width)
        if excess is None:
            self._owed = rows, width
        else:
            self._earn(-excess)

    def levelled(self, seconds: float) -> None:
        """Learns what drawing once more after a pass costs."""
        if self._is_timed:
            self._costs = None
            self.cost.level.add(seconds)

    def drafted(self, rows: int, seconds: float) -> None:
        """Learns what drafting costs."""
        if self._is_timed:
            self._costs = None
            self.cost.drafted(rows, seconds)
        self._earn(-self._looking(rows))

    def forked(self, branch: Branch, child: Branch) -> None:
        """Takes a copy for the text that it is a copy of."""
        if self._seen in branch.notes:
            child.notes[self._seen] = True

    def _earn(self, passes: float) -> None:
        self._saved += passes
        self._credit = min(_CREDIT_MOST, self._credit + passes)


def _best(paths: Sequence[float]) -> list[int]:
    """The nodes, the likeliest first; no node before its parent."""
    # A child's chance is never above its parent's, and the sort is stable.
    return sorted(range(len(paths)), key=lambda node: -paths[node])
