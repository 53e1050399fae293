"""Rule states of members in free order, made when the parser first reaches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guided.grammars.free_group import EXTRA, Costs, FreeGroup, Missing, Shortest
from guided.kernels.memo_arrays import DIST, EPSILON, FAR, Rules


class _Place(NamedTuple):
    """What a rule state stands for: the members seen, as a bit set, and how many are present."""

    home: int
    seen: int
    present: int
    missing: Missing


class AnyOrder:
    """Expands rule states (set of seen members, number present) of `Members` with a free order.

    Only sets that some text really reaches are made: along one document there are as many as it
    has members, whatever the number of possible orders.
    """

    def __init__(self, groups: Mapping[int, FreeGroup]) -> None:
        """`groups`: by the rule state that each begins in."""
        self._groups = groups
        self._costs: dict[int, Costs] = {}
        self._places: dict[int, _Place] = {}
        self._states: dict[tuple[int, int, int], int] = {}
        self._growth: _Growth | None = None
        self._shortest: Shortest | None = None

    def expand(self, rules: Rules, state: int) -> Rules:
        """`rules` with the edges of the unexpanded rule state `state`."""
        if self._growth is None or not self._growth.made(rules):
            self._growth = _Growth(rules)
        growth = self._growth
        place = self._places.get(state) or self._first(rules, state)
        costs = self._costs[place.home]
        edges: list[tuple[int, int]] = []
        if place.present >= costs.group.least and not place.missing.number:
            edges.append((EPSILON, costs.group.end))
        onward, nearest = self._onward(growth, place, costs)
        if place.present and onward:
            middle = growth.state(nearest)
            growth.expand(middle, onward)
            onward = [(costs.group.separator, middle)]
        growth.expand(state, edges + onward)
        return growth.rules()

    def _first(self, rules: Rules, home: int) -> _Place:
        """The place before the first member."""
        shortest = self._shortest
        if shortest is None:
            shortest = self._shortest = Shortest(rules)
        group = self._groups[home]
        costs = self._costs[home] = Costs(group, shortest, int(rules.state[group.end, DIST]))
        return _Place(home, 0, 0, costs.needed)

    def _onward(
        self, growth: _Growth, place: _Place, costs: Costs
    ) -> tuple[list[tuple[int, int]], int]:
        """The edges of the members that may come next, and the fewest bytes from there."""
        edges: list[tuple[int, int]] = []
        nearest = FAR
        more = costs.group.count_after(place.present)
        if more is None:
            return edges, nearest
        for way, first, second in costs.ways:
            if way.member != EXTRA and place.seen >> way.member & 1:
                continue
            target = self._target(growth, place, costs, way.member, more)
            between = second + growth.distance(target)
            if between < FAR:
                # A state between the two symbols of the way.
                middle = growth.state(between)
                growth.expand(middle, [(way.second, target)])
                edges.append((way.first, middle))
                nearest = min(nearest, first + between)
        return edges, nearest

    def _target(self, growth: _Growth, place: _Place, costs: Costs, member: int, more: int) -> int:
        seen = place.seen if member == EXTRA else place.seen | 1 << member
        found = self._states.get((place.home, seen, more))
        if found is None:
            missing = costs.after(place.missing, member)
            found = growth.state(costs.rest(seen, more, missing))
            self._states[place.home, seen, more] = found
            self._places[found] = _Place(place.home, seen, more, missing)
        return found


class _Growth:
    """The states and edges of a grammar with room for more; what was handed out stays as it is."""

    def __init__(self, base: Rules) -> None:
        self._base = base
        self._state = _Column(base.state)
        self._edge = _Column(base.edge)
        self._handed_out: Rules | None = None
        # What is not yet in the arrays.
        self._rows: list[list[int]] = []
        self._edges: list[tuple[int, int]] = []

    def made(self, rules: Rules) -> bool:
        """Whether `rules` is what was handed out last."""
        return rules is self._handed_out

    def state(self, distance: int) -> int:
        """A new, unexpanded rule state that is so far from the end of its rule."""
        self._rows.append([-1, 0, 0, distance])
        return self._state.size + len(self._rows) - 1

    def distance(self, state: int) -> int:
        """Fewest bytes from `state` to the end of its rule."""
        known = self._state.size
        if state >= known:
            return self._rows[state - known][DIST]
        return int(self._state.array[state, DIST])

    def expand(self, state: int, edges: list[tuple[int, int]]) -> None:
        """Gives `state` its edges (symbol, target)."""
        begin = self._edge.size + len(self._edges)
        self._edges += edges
        span = [begin, begin + len(edges)]
        known = self._state.size
        if state >= known:
            self._rows[state - known][:2] = span
        else:
            self._state.array[state, :2] = span

    def rules(self) -> Rules:
        """The base with everything appended."""
        self._state.append(self._rows)
        self._edge.append(self._edges)
        self._rows, self._edges = [], []
        self._handed_out = self._base._replace(
            state=self._state.array[: self._state.size], edge=self._edge.array[: self._edge.size]
        )
        return self._handed_out


class _Column:
    """Rows of int32 that grow at the end."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self.size = len(rows)
        self.array = np.empty((2 * len(rows) + 64, rows.shape[1]), np.int32)
        self.array[: self.size] = rows

    def append(self, rows: Sequence[Sequence[int]]) -> None:
        """Adds `rows` at the end."""
        end = self.size + len(rows)
        if end > len(self.array):
            wider = np.empty((2 * end, self.array.shape[1]), np.int32)
            wider[: self.size] = self.array[: self.size]
            self.array = wider
        if rows:
            self.array[self.size : end] = rows
        self.size = end
