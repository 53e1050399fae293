"""Members of an object in free order: what may follow a set of seen members."""

from __future__ import annotations

from dataclasses import dataclass

from guided.grammars.ir import Members
from guided.kernels.memo_arrays import DIST, FAR, START, Rules


@dataclass(frozen=True)
class FreeGroup:
    """`Members` whose parts have become rules; `end` is the rule state after them."""

    members: Members
    member_rules: tuple[int, ...]
    extra_rule: int | None
    separator_rule: int
    end: int

    @property
    def cap(self) -> int:
        """Number of present members beyond which more make no difference."""
        if self.members.most is None:
            return max(1, self.members.least)
        return max(0, self.members.most)

    def count_after(self, present: int) -> int | None:
        """The number present after one more, None where no more are allowed."""
        if self.members.most is not None:
            return present + 1 if present < self.members.most else None
        return min(present + 1, self.cap)

    def missing(self, seen: frozenset[int]) -> list[int]:
        """Required members that are not there yet."""
        return [i for i, m in enumerate(self.members.members) if m.required and i not in seen]

    def may_end(self, seen: frozenset[int], present: int) -> bool:
        """Whether the members so far are enough."""
        return present >= self.members.least and not self.missing(seen)

    def steps(self, rules: Rules, seen: frozenset[int]) -> list[tuple[int, frozenset[int]]]:
        """(rule, seen afterwards) of everything that may come next, by finite rules only."""
        found = [
            (rule, seen | {i})
            for i, rule in enumerate(self.member_rules)
            if i not in seen and _least(rules, rule) < FAR
        ]
        if self.extra_rule is not None and _least(rules, self.extra_rule) < FAR:
            found.append((self.extra_rule, seen))
        return found

    def distance(self, rules: Rules, seen: frozenset[int], present: int) -> int:
        """Fewest bytes to the end of the rule; FAR if the members cannot be completed."""
        missing = self.missing(seen)
        costs = [_least(rules, self.member_rules[i]) for i in missing]
        lacking = self.members.least - present - len(missing)
        if lacking > 0:
            costs += self._fillers(rules, seen, lacking)
        if any(cost >= FAR for cost in costs):
            return FAR
        most = self.members.most
        if most is not None and present + len(costs) > most:
            return FAR
        separators = len(costs) - (1 if present == 0 and costs else 0)
        onward = int(rules.state[self.end, DIST])
        return sum(costs) + separators * _least(rules, self.separator_rule) + onward

    def _fillers(self, rules: Rules, seen: frozenset[int], count: int) -> list[int]:
        optional = sorted(
            _least(rules, self.member_rules[i])
            for i, m in enumerate(self.members.members)
            if not m.required and i not in seen
        )
        extra = FAR if self.extra_rule is None else _least(rules, self.extra_rule)
        chosen = [cost for cost in optional if cost <= extra][:count]
        return chosen + [extra] * (count - len(chosen))


def _least(rules: Rules, rule: int) -> int:
    return int(rules.state[rules.rule[rule, START], DIST])
