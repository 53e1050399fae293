"""Rule states of members in free order, made when the parser first reaches them."""

from __future__ import annotations

import numpy as np

from guided.grammars.free_group import FreeGroup
from guided.grammars.rule_builder import RuleBuilder
from guided.kernels.memo_arrays import BEGIN, DIST, END, EPSILON, FAR, START, Rules


class AnyOrder:
    """Expands rule states (set of seen members, number present) of `Members` with a free order.

    Only sets that some text really reaches are made: along one document there are as many as it
    has members, whatever the number of possible orders.
    """

    def __init__(self, builder: RuleBuilder) -> None:
        self._groups: dict[int, FreeGroup] = dict(builder.any_order)
        self._places: dict[int, tuple[int, frozenset[int], int]] = {}
        self._states: dict[tuple[int, frozenset[int], int], int] = {}
        for home in self._groups:
            self._places[home] = (home, frozenset(), 0)
            self._states[home, frozenset(), 0] = home

    def expand(self, rules: Rules, state: int) -> Rules:
        """`rules` with the edges of the unexpanded rule state `state`."""
        home, seen, present = self._places[state]
        group = self._groups[home]
        growth = _Growth(rules)
        edges: list[tuple[int, int]] = []
        if group.may_end(seen, present):
            edges.append((EPSILON, group.end))
        calls: list[tuple[int, int]] = []
        more = group.count_after(present)
        if more is not None:
            for rule, after in group.steps(rules, seen):
                target = self._place(growth, group, (home, after, more))
                if growth.distance(target) < FAR:
                    calls.append((-1 - rule, target))
        if present == 0:
            growth.expand(state, edges + calls)
        elif calls:
            nearest = min(
                int(rules.state[rules.rule[-1 - call, START], DIST]) + growth.distance(target)
                for call, target in calls
            )
            middle = growth.state(nearest)
            growth.expand(middle, calls)
            growth.expand(state, [*edges, (-1 - group.separator_rule, middle)])
        else:
            growth.expand(state, edges)
        return growth.rules()

    def _place(
        self, growth: _Growth, group: FreeGroup, key: tuple[int, frozenset[int], int]
    ) -> int:
        found = self._states.get(key)
        if found is None:
            found = growth.state(group.distance(growth.base, key[1], key[2]))
            self._states[key] = found
            self._places[found] = key
        return found


class _Growth:
    """Rule states and edges to be appended to `base`."""

    def __init__(self, base: Rules) -> None:
        self.base = base
        self._distances: list[int] = []
        self._expanded: list[tuple[int, list[tuple[int, int]]]] = []

    def state(self, distance: int) -> int:
        """A new, unexpanded rule state."""
        self._distances.append(distance)
        return len(self.base.state) + len(self._distances) - 1

    def distance(self, state: int) -> int:
        """Fewest bytes from `state` to the end of its rule."""
        known = len(self.base.state)
        return (
            int(self.base.state[state, DIST]) if state < known else self._distances[state - known]
        )

    def expand(self, state: int, edges: list[tuple[int, int]]) -> None:
        """Gives `state` its edges (symbol, target)."""
        self._expanded.append((state, edges))

    def rules(self) -> Rules:
        """The base with everything appended."""
        base = self.base
        fresh = np.zeros((len(self._distances), 4), np.int32)
        fresh[:, BEGIN] = -1
        fresh[:, DIST] = self._distances
        state = np.concatenate([base.state, fresh])
        grown: list[tuple[int, int]] = []
        at = len(base.edge)
        for expanded, edges in self._expanded:
            state[expanded, BEGIN] = at + len(grown)
            grown += edges
            state[expanded, END] = at + len(grown)
        edge = np.array(grown, np.int32).reshape(-1, 2)
        return base._replace(state=state, edge=np.concatenate([base.edge, edge]))
