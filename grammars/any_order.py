"""Rule states of members in free order, made when the parser first reaches them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guided.grammars.free_group import EXTRA, Costs, FreeGroup, Missing, OpenWay, Shortest
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
        # Of places that nothing has reached yet: what was before, and the member that led here.
        self._origins: dict[int, tuple[_Place, int]] = {}
        self._states: dict[tuple[int, int, int], int] = {}
        self._growth: _Growth | None = None
        self._shortest: Shortest | None = None

    def expand(self, rules: Rules, state: int) -> Rules:
        """`rules` with the edges of the unexpanded rule state `state`."""
        if self._growth is None or not self._growth.made(rules):
            self._growth = _Growth(rules)
        growth = self._growth
        place = self._place_of(rules, state)
        costs = self._costs[place.home]
        edges = array("i")
        if place.present >= costs.group.least and not place.missing.number:
            edges.extend((EPSILON, costs.group.end))
        onward, nearest = self._onward(growth, place, costs)
        if place.present and onward:
            middle = growth.state(nearest)
            growth.expand(middle, onward)
            onward = array("i", (costs.group.separator, middle))
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

    def _onward(self, growth: _Growth, place: _Place, costs: Costs) -> tuple[array[int], int]:
        """The edges of the members that may come next, and the fewest bytes from there."""
        edges, nearest = array("i"), FAR
        more = costs.group.count_after(place.present)
        if more is None:
            return edges, nearest
        home, seen, states = place.home, place.seen, self._states
        # Fewest bytes to the end where nothing but the required members has to follow.
        plain = costs.plain_rest(place.present, more, place.missing)
        for way in costs.ways:
            if seen & way.bit:
                continue
            rest = self._rest(costs, place, way, more) if plain is None else plain - way.gain
            between = way.second_cost + rest
            if between >= FAR:
                continue
            key = home, seen | way.bit, more
            target = states.get(key)
            if target is None:
                target = states[key] = growth.state(rest)
                self._origins[target] = place, way.member
            # A state between the two symbols of the way.
            edges.append(way.first)
            edges.append(growth.between(between, way.second, target))
            nearest = min(nearest, way.first_cost + between)
        return edges, nearest

    def _rest(self, costs: Costs, place: _Place, way: OpenWay, more: int) -> int:
        missing = costs.after(place.missing, way.member)
        return costs.rest(place.seen | way.bit, more, missing)

    def _place_of(self, rules: Rules, state: int) -> _Place:
        known = self._places.get(state)
        if known is not None:
            return known
        origin = self._origins.pop(state, None)
        if origin is None:
            place = self._first(rules, state)
        else:
            before, member = origin
            costs = self._costs[before.home]
            more = costs.group.count_after(before.present)
            assert more is not None
            seen = before.seen if member == EXTRA else before.seen | 1 << member
            place = _Place(before.home, seen, more, costs.after(before.missing, member))
        self._places[state] = place
        return place


class _Growth:
    """The states and edges of a grammar with room for more; what was handed out stays as it is."""

    def __init__(self, base: Rules) -> None:
        self._base = base
        self._state = _Column(base.state)
        self._edge = _Column(base.edge)
        self._handed_out: Rules | None = None
        # What is not yet in the arrays, row after row.
        self._rows = array("i")
        self._edges = array("i")

    def made(self, rules: Rules) -> bool:
        """Whether `rules` is what was handed out last."""
        return rules is self._handed_out

    def state(self, distance: int) -> int:
        """A new, unexpanded rule state that is so far from the end of its rule."""
        number = self._state.size + len(self._rows) // 4
        self._rows.extend((-1, 0, 0, distance))
        return number

    def between(self, distance: int, symbol: int, target: int) -> int:
        """A new rule state with one edge."""
        number = self._state.size + len(self._rows) // 4
        begin = self._edge.size + len(self._edges) // 2
        self._rows.extend((begin, begin + 1, 0, distance))
        self._edges.append(symbol)
        self._edges.append(target)
        return number

    def expand(self, state: int, edges: array[int]) -> None:
        """Gives `state` its edges: symbol, target, symbol, target, …"""
        begin = self._edge.size + len(self._edges) // 2
        self._edges.extend(edges)
        end = begin + len(edges) // 2
        known = self._state.size
        if state >= known:
            place = 4 * (state - known)
            self._rows[place], self._rows[place + 1] = begin, end
        else:
            self._state.array[state, :2] = begin, end

    def rules(self) -> Rules:
        """The base with everything appended."""
        self._state.append(self._rows)
        self._edge.append(self._edges)
        self._rows, self._edges = array("i"), array("i")
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

    def append(self, numbers: array[int]) -> None:
        """Adds rows at the end, whose numbers are given one after the other."""
        width = self.array.shape[1]
        end = self.size + len(numbers) // width
        if end > len(self.array):
            wider = np.empty((2 * end, width), np.int32)
            wider[: self.size] = self.array[: self.size]
            self.array = wider
        if numbers:
            self.array[self.size : end] = np.frombuffer(numbers, np.int32).reshape(-1, width)
        self.size = end
