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
#: Share of the passes' time that drafting may take when it has saved none, and the longest rest.
_IDLE_SHARE, _REST_MOST = 0.01, 32
#: Passes' worth of time that drafting may lose before it has to earn any, and the most it can save
#: up for when nothing pays.
_CREDIT, _CREDIT_MOST = 1.0, 8.0
#: Rounds of as many rows that are all timed, and of how many later ones one is: what a pass costs
#: is known by then, and taking it in at every pass takes longer than what would change.
_ALL_TIMED, _EVERY = 64, 4


@dataclass(slots=True)
class Fixed:
    """Always the likeliest `nodes` guesses, whatever they cost."""

    most_rows: ClassVar[float] = float("inf")

    nodes: int

    def room(self, rows: int) -> int:
        """The most guesses that each of `rows` rows may get."""
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


@dataclass(slots=True)
class Adaptive:
    """As many guesses as pay, by what passes cost and how often such guesses came true.

    A draft's own chances are calibrated by source; rows that guess worse than others get less.
    Where no guess pays and drafting has used up what it had saved, it rests for a while, so that
    it costs nothing either.

    Args:
        most: the most guesses per row.
    """

    most_rows: ClassVar[float] = _MOST[-1][0]

    most: int = 31
    cost: CostModel = field(default_factory=CostModel)
    tallies: Tallies = field(default_factory=Tallies)
    #: Under which branches hold how lucky they have been.
    _key: object = field(default_factory=object)
    _recent: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    # Arrays that kernels read, kept for the next round of as many rows.
    _bounds: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2, np.int64))
    _lucks: NDArray[np.float64] = field(default_factory=lambda: np.ones(1))
    _path: NDArray[np.int64] = field(default_factory=lambda: np.empty((2, 32), np.int64))
    _resting: int = 0
    #: Passes' worth of time that guesses have saved and drafting has not used up.
    _credit: float = _CREDIT
    _rows: int = 1
    #: Rounds of so many rows, and for how many the times of the round at hand stand; 0: not taken.
    _rounds: dict[int, int] = field(default_factory=dict)
    _weight: int = 1
    #: The costs for so many rows, until more is known of them.
    _costs: tuple[int, tuple[NDArray[np.float64], float, float]] | None = None

    def room(self, rows: int) -> int:
        """The most guesses that each of `rows` rows may get; 0 while drafting rests."""
        rounds = self._rounds[rows] = self._rounds.get(rows, 0) + 1
        self._weight = 1 if rounds <= _ALL_TIMED else _EVERY if rounds % _EVERY == 0 else 0
        if self._resting > 0:
            self._resting -= 1
            return 0
        found = next((nodes for batch, nodes in _MOST if rows <= batch), 0)
        return min(found, self.most)

    def chosen(self, branches: Sequence[Branch], drafts: Sequence[Draft]) -> list[Draft]:
        """The drafts with the nodes that are to be tried."""
        width, found = self._choice(branches, drafts)
        if width == 0 and self._credit <= 0:
            base = self.cost.base(len(branches)) or 1.0
            idle = self.cost.draft_seconds(len(branches)) / base
            self._resting = min(_REST_MOST, int(idle / _IDLE_SHARE))
        return found

    def _choice(
        self, branches: Sequence[Branch], drafts: Sequence[Draft]
    ) -> tuple[int, list[Draft]]:
        """Nodes for each row at which most tokens come out in the same time, and the drafts with
        the likeliest of theirs.
        """
        rows = len(branches)
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
        width = int(
            _choose(
                bounds,
                nodes,
                chances,
                lucks,
                self.tallies.cover(),
                *self._costs_of(rows),
                _MARGIN,
                kept,
                sure,
            )
        )
        if width == 0:
            return 0, [Draft() for _ in drafts]
        return width, [
            draft
            if width >= len(draft)
            else Draft.of(kept[begin : begin + width], sure[begin : begin + width])
            for draft, begin in zip(drafts, bounds.tolist(), strict=False)
        ]

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
        if not self._weight:
            return
        self._costs = None
        base = self.cost.timed(rows, width, seconds)
        if width > 1 and base is not None:
            self._earn(self._weight - self._passes(seconds, base))

    def levelled(self, seconds: float) -> None:
        """Learns what drawing once more after a pass costs."""
        if self._weight:
            self._costs = None
            self.cost.level.add(seconds)

    def drafted(self, rows: int, seconds: float) -> None:
        """Learns what drafting costs."""
        if not self._weight:
            return
        self._costs = None
        self.cost.drafted(rows, seconds)
        base = self.cost.base(rows)
        if base is not None:
            self._earn(-self._passes(seconds, base))

    def _passes(self, seconds: float, base: float) -> float:
        """Plain passes, of `base` seconds, in such a time of each round that this one stands for.

        An outlier says more of the machine than of the guesses.
        """
        most = _CREDIT_MOST / (2 if self._weight == 1 else 4)
        return self._weight * min(seconds / base, most)

    def _earn(self, passes: float) -> None:
        self._credit = max(0.0, min(_CREDIT_MOST, self._credit + passes))


def _best(paths: Sequence[float]) -> list[int]:
    """The nodes, the likeliest first; no node before its parent."""
    # A child's chance is never above its parent's, and the sort is stable.
    return sorted(range(len(paths)), key=lambda node: -paths[node])
