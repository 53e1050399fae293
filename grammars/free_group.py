"""Members of an object in free order, as symbols of a grammar."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from guided.kernels.memo_arrays import (
    DFA,
    DIST,
    EPSILON,
    FAR,
    FIRST,
    LEAST,
    NEAREST,
    START,
    Rules,
)

#: The member number of what may be repeated.
EXTRA = -1


class Way(NamedTuple):
    """One way to write a member: two symbols in a row (see `RuleBuilder`)."""

    member: int
    first: int
    second: int


class FreeGroup(NamedTuple):
    """`Members` whose parts have become symbols.

    Attributes:
        required: of each member whether it has to be there.
        least, most: as in `Members`.
        separator: the symbol between two members.
        end: the rule state after them.
    """

    required: tuple[bool, ...]
    least: int
    most: int | None
    ways: tuple[Way, ...]
    separator: int
    end: int

    @property
    def cap(self) -> int:
        """Number of present members beyond which more make no difference."""
        return max(1, self.least) if self.most is None else max(0, self.most)

    def count_after(self, present: int) -> int | None:
        """The number present after one more, None where no more are allowed."""
        if self.most is not None:
            return present + 1 if present < self.most else None
        return min(present + 1, self.cap)


class OpenWay(NamedTuple):
    """A way that ends.

    Attributes:
        member: its number, EXTRA for what may be repeated.
        bit: of the member in a set of those seen, 0 for EXTRA.
        first_cost, second_cost: fewest bytes of its symbols.
        gain: by how much less is required after it.
    """

    member: int
    bit: int
    first: int
    second: int
    first_cost: int
    second_cost: int
    gain: int


class Missing(NamedTuple):
    """How many required members are not there yet, and the fewest bytes of them all."""

    number: int
    cost: int


class Shortest:
    """Fewest bytes of the symbols of a grammar."""

    def __init__(self, rules: Rules) -> None:
        first = rules.dfa[rules.lexeme[:, DFA], FIRST]
        nearest = rules.fact[first, NEAREST] + np.maximum(rules.lexeme[:, LEAST], 0)
        self._terminals: list[int] = nearest.tolist()
        self._rules: list[int] = rules.state[rules.rule[:, START], DIST].tolist()

    def of(self, symbol: int) -> int:
        """Fewest bytes of one symbol."""
        if symbol >= 0:
            return self._terminals[symbol]
        return 0 if symbol == EPSILON else self._rules[-1 - symbol]


class Costs:
    """Fewest bytes of what a group is made of, and of what is left of it."""

    def __init__(self, group: FreeGroup, shortest: Shortest, onward: int) -> None:
        """`onward`: fewest bytes from the end of the group to the end of its rule."""
        self.group = group
        self.separator = shortest.of(group.separator)
        self.onward = onward
        #: Fewest bytes of each member, and of what may be repeated.
        self.cheapest = [FAR] * len(group.required)
        self.extra = FAR
        costed: list[tuple[Way, int, int]] = []
        for way in group.ways:
            first, second = shortest.of(way.first), shortest.of(way.second)
            if first >= FAR or second >= FAR:
                continue
            costed.append((way, first, second))
            if way.member == EXTRA:
                self.extra = min(self.extra, first + second)
            else:
                self.cheapest[way.member] = min(self.cheapest[way.member], first + second)
        needed = list(itertools.compress(self.cheapest, group.required))
        self.needed = Missing(len(needed), sum(needed))
        self.ways = [
            OpenWay(
                way.member,
                0 if way.member == EXTRA else 1 << way.member,
                way.first,
                way.second,
                first,
                second,
                self._gain(way.member),
            )
            for way, first, second in costed
        ]

    def _gain(self, member: int) -> int:
        if member == EXTRA or not self.group.required[member]:
            return 0
        return self.cheapest[member] + self.separator

    def plain_rest(self, present: int, more: int, missing: Missing) -> int | None:
        """Fewest bytes from after the next member to the end, were that member an optional one.

        None where the number of members is bounded so that this is not all there is to it.
        """
        group = self.group
        if group.least > present + missing.number:
            return None
        if group.most is not None and more + missing.number > group.most:
            return None
        if missing.cost >= FAR:
            return None
        return missing.cost + missing.number * self.separator + self.onward

    def after(self, missing: Missing, member: int) -> Missing:
        """What is missing once `member`, which was not there before, is there."""
        if member == EXTRA or not self.group.required[member]:
            return missing
        return Missing(missing.number - 1, missing.cost - self.cheapest[member])

    def rest(self, seen: int, present: int, missing: Missing) -> int:
        """Fewest bytes to the end of the rule after a member; FAR where there is no way."""
        group = self.group
        count, cost = missing
        lacking = group.least - present - count
        if lacking > 0:
            fillers = self._fillers(seen, lacking)
            count, cost = count + lacking, cost + sum(fillers)
        if cost >= FAR or (group.most is not None and present + count > group.most):
            return FAR
        return min(cost + count * self.separator + self.onward, FAR)

    def _fillers(self, seen: int, count: int) -> list[int]:
        optional = sorted(
            self.cheapest[i]
            for i, required in enumerate(self.group.required)
            if not required and not seen >> i & 1
        )
        chosen = [cost for cost in optional if cost <= self.extra][:count]
        return chosen + [self.extra] * (count - len(chosen))
