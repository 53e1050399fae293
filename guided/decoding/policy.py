"""How many guesses are worth a place in the next pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from guided.decoding.branch import Branch
from guided.decoding.cost import CostModel
from guided.decoding.drafts import Draft
from guided.kernels import draft_choice

#: Guesses per row that may be tried in one pass, by the number of rows; beyond the last, none:
#: there a pass is filled by the rows alone, and looking for guesses costs more than it saves.
_MOST = ((1, 31), (2, 27), (4, 23), (8, 19), (16, 13), (32, 7), (256, 3))
_BINS = 10
#: A guess that is worth trying whatever passes cost, and the most of them in one row.
_SURE, _SURE_MOST = 0.9, 8
#: A source's own estimate counts as so many observations.
_PRIOR = 4.0
_MEMORY = 100.0
#: How much more must come out in the same time for guesses to be tried.
_MARGIN = 1.03
#: Observations that the luck of other rows counts as for a new one.
_SHARED_LUCK = 4.0
#: Share of the passes' time that drafting may take when it has saved none, and the longest rest.
_IDLE_SHARE, _REST_MOST = 0.01, 32
#: Passes' worth of time that drafting may lose before it has to earn any, and the most it can save
#: up for when nothing pays.
_CREDIT, _CREDIT_MOST = 1.0, 8.0


@dataclass(slots=True)
class Tally:
    """How often guesses with a like estimate came true."""

    hits: float = 0.0
    count: float = 0.0

    def add(self, hit: bool) -> None:
        """Takes in one guess; older ones fade."""
        if self.count >= _MEMORY:
            self.hits *= 0.5
            self.count *= 0.5
        self.hits += hit
        self.count += 1

    def rate(self, prior: float) -> float:
        """The share that came true, drawn towards `prior` while little is known."""
        return (self.hits + _PRIOR * prior) / (self.count + _PRIOR)


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

    def judged(self, branch: Branch, draft: Draft, node: int, hit: bool) -> None:
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
    tallies: dict[tuple[str, int], Tally] = field(default_factory=dict)
    _luck: WeakKeyDictionary[Branch, list[float]] = field(default_factory=WeakKeyDictionary)
    _recent: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _resting: int = 0
    #: Passes' worth of time that guesses have saved and drafting has not used up.
    _credit: float = _CREDIT
    _rows: int = 1

    def room(self, rows: int) -> int:
        """The most guesses that each of `rows` rows may get; 0 while drafting rests."""
        if self._resting > 0:
            self._resting -= 1
            return 0
        found = next((nodes for batch, nodes in _MOST if rows <= batch), 0)
        return min(found, self.most)

    def chosen(self, branches: Sequence[Branch], drafts: Sequence[Draft]) -> list[Draft]:
        """The drafts with the nodes that are to be tried."""
        orders: list[NDArray[np.int64]] = []
        gains: list[NDArray[np.float64]] = []
        for branch, draft in zip(branches, drafts, strict=True):
            parents = np.array(draft.parents, np.int64)
            order, gain = draft_choice.ranked(parents, self._chances(branch, draft, parents))
            orders.append(order)
            gains.append(gain)
        width = self._width(gains)
        if width == 0:
            if self._credit <= 0:
                base = self.cost.base(len(branches)) or 1.0
                idle = self.cost.draft_seconds(len(branches)) / base
                self._resting = min(_REST_MOST, int(idle / _IDLE_SHARE))
            return [Draft() for _ in drafts]
        return [
            draft if width >= len(draft) else draft.keep(np.sort(order[:width]).tolist())
            for draft, order in zip(drafts, orders, strict=True)
        ]

    def base(self, rows: int) -> float | None:
        """Seconds of a pass of a single token for each row, None if never measured."""
        return self.cost.base(rows)

    def _width(self, gains: Sequence[NDArray[np.float64]]) -> int:
        """Nodes for each row at which most tokens come out in the same time."""
        rows = len(gains)
        base = self.cost.base(rows)
        if base is None:
            # Only what is all but sure, until a pass has shown what a single token costs.
            return min(_SURE_MOST, max(int((gain >= _SURE).sum()) for gain in gains))
        widest = max([len(gain) for gain in gains])
        if widest == 0:
            return 0
        if rows == 1:
            table = gains[0][None]
        else:
            table = np.zeros((rows, widest))
            for row, gain in enumerate(gains):
                table[row, : len(gain)] = gain
        # The time of drafting is spent already, whatever is tried.
        drafting = self.cost.draft_seconds(rows) / base
        width = draft_choice.best_width(
            table,
            np.array([len(gain) for gain in gains]),
            np.array(self.cost.relative(rows, 1 + widest)),
            drafting,
            (self.cost.level.value or 0.0) / base,
            _MARGIN * rows / (1 + drafting),
        )
        return int(width)

    def _chances(
        self, branch: Branch, draft: Draft, parents: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        hits, expected = self._luck_of(branch)
        luck = min(1.15, (hits + 2) / (expected + 2))
        names: dict[str, int] = {}
        found: list[float] = []
        for source, chance in zip(draft.sources, draft.chances, strict=True):
            names.setdefault(source, len(names))
            if chance < 1:
                found.append(min(1.0, luck * self._tally(source, chance).rate(chance)))
            else:
                found.append(1.0)
        sources = np.array([names[source] for source in draft.sources], np.int64)
        shared: NDArray[np.float64] = draft_choice.shared(parents, np.array(found), sources)
        return shared

    def _luck_of(self, branch: Branch) -> list[float]:
        """Guesses of a row that came true, and how many were expected to, lately.

        A new row is taken to be as lucky as others have been.
        """
        found = self._luck.get(branch)
        if found is None:
            hits, expected = self._recent
            found = [_SHARED_LUCK * (hits + 2) / (expected + 2), _SHARED_LUCK]
        return found

    def _tally(self, source: str, chance: float) -> Tally:
        key = source, min(int(chance * _BINS), _BINS - 1)
        found = self.tallies.get(key)
        if found is None:
            found = self.tallies[key] = Tally()
        return found

    def judged(self, branch: Branch, draft: Draft, node: int, hit: bool) -> None:
        """Learns from a node whose parent came true."""
        if hit:
            self._earn(1 / self._rows)
        chance = draft.chances[node]
        if chance >= 1:
            return
        tally = self._tally(draft.sources[node], chance)
        rate = tally.rate(chance)
        luck = self._luck[branch] = self._luck_of(branch)
        for record, kept in ((luck, 0.9), (self._recent, 0.97)):
            record[0] = kept * record[0] + hit
            record[1] = kept * record[1] + rate
        tally.add(hit)

    def timed(self, rows: int, width: int, seconds: float) -> None:
        """Learns what a pass costs."""
        self.cost.timed(rows, width, seconds)
        self._rows = rows
        if width > 1:
            self._spend(rows, seconds, passes=1)

    def levelled(self, seconds: float) -> None:
        """Learns what drawing once more after a pass costs."""
        self.cost.level.add(seconds)

    def drafted(self, rows: int, seconds: float) -> None:
        """Learns what drafting costs."""
        self.cost.drafted(rows, seconds)
        self._spend(rows, seconds)

    def _spend(self, rows: int, seconds: float, passes: int = 0) -> None:
        """Takes the time from the credit, as far as it is more than so many plain passes."""
        base = self.cost.base(rows)
        if base is not None:
            # An outlier says more of the machine than of the guesses.
            self._earn(passes - min(seconds / base, _CREDIT_MOST / 2))

    def _earn(self, passes: float) -> None:
        self._credit = max(0.0, min(_CREDIT_MOST, self._credit + passes))


def _best(paths: Sequence[float]) -> list[int]:
    """The nodes, the likeliest first; no node before its parent."""
    # A child's chance is never above its parent's, and the sort is stable.
    return sorted(range(len(paths)), key=lambda node: -paths[node])
