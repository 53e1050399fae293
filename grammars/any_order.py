"""Rule states of members in free order, made when the parser first reaches them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from guided.grammars.free_group import EXTRA, Costs, FreeGroup, Missing, OpenWay, Shortest
from guided.kernels.memo_arrays import BEGIN, DIST, END, EPSILON, FAR, Rules

# Numbers of a rule state in `Rules.state`.
_WIDTH = 4


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

    def __init__(self, groups: Mapping[int, FreeGroup], rules: Rules) -> None:
        """`groups`: by the rule state of `rules` that each begins in."""
        self._groups = groups
        self._base = rules
        self._growth = _Growth(rules)
        self._costs: dict[int, Costs] = {}
        self._places: dict[int, _Place] = {}
        # Of places that nothing has reached yet: what was before, the member that led here, and how
        # many are present.
        self._origins: dict[int, tuple[_Place, int, int]] = {}
        self._states: dict[tuple[int, int, int], int] = {}
        self._shortest: Shortest | None = None

    @property
    def handle(self) -> tuple[int, int, int, int]:
        """Where the rule states and the edges are, as in a kernel's handle; until they grow."""
        return self._growth.handle

    @property
    def n_states(self) -> int:
        """How many rule states there are."""
        return self._growth.n_states

    def unexpanded(self, since: int) -> list[int]:
        """The rule states from number `since` on that have no edges yet."""
        return self._growth.unexpanded(since)

    def is_unexpanded(self, state: int) -> bool:
        """Whether a rule state has no edges yet."""
        return self._growth.is_unexpanded(state)

    def rules(self) -> Rules:
        """The rules as they are now."""
        return self._base._replace(**self._growth.copied())

    def expand(self, state: int) -> None:
        """Gives the unexpanded rule state `state` its edges."""
        growth = self._growth
        place = self._place_of(state)
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

    def _first(self, home: int) -> _Place:
        """The place before the first member."""
        shortest = self._shortest
        if shortest is None:
            shortest = self._shortest = Shortest(self._base)
        group = self._groups[home]
        costs = Costs(group, shortest, int(self._base.state[group.end, DIST]))
        self._costs[home] = costs
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
                self._origins[target] = place, way.member, more
            # A state between the two symbols of the way.
            edges.append(way.first)
            edges.append(growth.between(between, way.second, target))
            nearest = min(nearest, way.first_cost + between)
        return edges, nearest

    def _rest(self, costs: Costs, place: _Place, way: OpenWay, more: int) -> int:
        missing = costs.after(place.missing, way.member)
        return costs.rest(place.seen | way.bit, more, missing)

    def _place_of(self, state: int) -> _Place:
        known = self._places.get(state)
        if known is not None:
            return known
        origin = self._origins.pop(state, None)
        if origin is None:
            place = self._first(state)
        else:
            before, member, more = origin
            costs = self._costs[before.home]
            seen = before.seen if member == EXTRA else before.seen | 1 << member
            place = _Place(before.home, seen, more, costs.after(before.missing, member))
        self._places[state] = place
        return place


class _Growth:
    """The states and edges of a grammar, with more at the end.

    They stand in arrays of Python's, which grow by themselves and are written without numpy.
    """

    def __init__(self, base: Rules) -> None:
        self._state = array("i", base.state.tobytes())
        self._edge = array("i", base.edge.tobytes())
        self.n_states = len(base.state)
        self._n_edges = len(base.edge)

    @property
    def handle(self) -> tuple[int, int, int, int]:
        return (
            self._state.buffer_info()[0],
            self.n_states,
            self._edge.buffer_info()[0],
            self._n_edges,
        )

    def copied(self) -> dict[str, NDArray[np.int32]]:
        """The arrays of `Rules`."""
        state, edge = np.array(self._state, np.int32), np.array(self._edge, np.int32)
        return {"state": state.reshape(-1, _WIDTH), "edge": edge.reshape(-1, 2)}

    def unexpanded(self, since: int) -> list[int]:
        begins = self._state[_WIDTH * since + BEGIN :: _WIDTH]
        return [since + i for i, begin in enumerate(begins) if begin < 0]

    def is_unexpanded(self, state: int) -> bool:
        begin: int = self._state[_WIDTH * state + BEGIN]
        return begin < 0

    def state(self, distance: int) -> int:
        """A new, unexpanded rule state that is so far from the end of its rule."""
        self._state.extend((-1, 0, 0, distance))
        self.n_states += 1
        return self.n_states - 1

    def between(self, distance: int, symbol: int, target: int) -> int:
        """A new rule state with one edge."""
        begin = self._n_edges
        self._n_edges += 1
        self._state.extend((begin, begin + 1, 0, distance))
        self._edge.append(symbol)
        self._edge.append(target)
        self.n_states += 1
        return self.n_states - 1

    def expand(self, state: int, edges: array[int]) -> None:
        """Gives `state` its edges: symbol, target, symbol, target, …"""
        place = _WIDTH * state
        self._state[place + BEGIN] = self._n_edges
        self._edge.extend(edges)
        self._n_edges += len(edges) // 2
        self._state[place + END] = self._n_edges
