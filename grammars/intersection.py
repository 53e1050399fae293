"""The intersection of a grammar with a regular language: a grammar again, with no dead ends.

The classical construction (Bar-Hillel, Perles and Shamir 1961): rules are split by the states of
the automaton between which their texts lead. Only what is reached is made, as a parser would that
reads all words of the automaton at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from guided.errors import EmptyGrammarError, GrammarError, GrammarTooLargeError
from guided.grammars.automata import Dfa, concatenation, union
from guided.grammars.crossing_words import Crossings
from guided.grammars.ir import Alt, Expr, GrammarSpec, Lex, Net, Ref, Repeat, Seq
from guided.grammars.rule_builder import RuleBuilder
from guided.kernels.memo_arrays import EPSILON

#: Pairs of a rule state and a state of the automaton, for every state where the rule may begin.
MOST_PLACES = 300_000
#: Edges of all split rules together.
MOST_EDGES = 500_000
#: States of the automaton that a grammar is turned into where it is found to be regular.
MOST_REGULAR_STATES = 5_000

Copy = tuple[int, int]  # a rule and the automaton's state where it begins
Place = tuple[int, int]  # a rule state and the automaton's state there
Way = tuple[Place, Expr, tuple[Copy, int] | None]  # from where, by what, by which split rule


def intersection(left: RuleBuilder, right: RuleBuilder) -> GrammarSpec:
    """The rules of the texts that both grammars have.

    Raises:
        GrammarError: neither grammar is regular, or members stand in any order.
        EmptyGrammarError: there is no such text.
        GrammarTooLargeError: more than MOST_PLACES.
    """
    languages = [regular_language(left.spec), regular_language(right.spec)]
    first, second = languages
    if first is not None and second is not None:
        both = first & second
        if both.is_empty():
            raise _nothing()
        return GrammarSpec({"start": Lex(both, "intersection")}, "start")
    if second is not None:
        return _Split(left, second).run()
    if first is not None:
        return _Split(right, first).run()
    raise GrammarError(
        "neither side of & is regular (a regular expression, choices, or a grammar without "
        "recursion and JSON objects), and whether two context-free grammars have a text in common "
        "cannot be decided; JSON Schemas are joined by allOf"
    )


def _nothing() -> EmptyGrammarError:
    return EmptyGrammarError("the two sides of & have no text in common")


def regular_language(spec: GrammarSpec) -> Dfa | None:
    """The texts of a grammar as an automaton; None where it is not regular, or not seen to be."""
    known: dict[str, Dfa | None] = {}

    def rule(name: str) -> Dfa | None:
        if name not in known:
            known[name] = None  # what is met again while it is worked out is recursive
            known[name] = expression(spec.rules[name]) if name in spec.rules else None
        return known[name]

    def all_of(parts: tuple[Expr, ...]) -> Iterator[Dfa]:
        for part in parts:
            found = expression(part)
            if found is None:
                raise _NotRegularError
            yield found

    def expression(expr: Expr) -> Dfa | None:
        match expr:
            case Lex(dfa):
                found: Dfa | None = dfa
            case Ref(name):
                found = rule(name)
            case Seq(parts):
                found = concatenation(all_of(parts))
            case Alt(parts):
                found = union(all_of(parts))
            case Repeat(part, least, most):
                found = next(all_of((part,))).repeat(least, most)
            case _:
                found = None
        if found is None or found.n_states > MOST_REGULAR_STATES:
            raise _NotRegularError
        return found

    try:
        return rule(spec.start)
    except (_NotRegularError, GrammarTooLargeError, RecursionError):
        return None


class _NotRegularError(Exception):
    """A part is not regular."""


class _Split:
    """The rules of a grammar, split by the states of an automaton."""

    def __init__(self, builder: RuleBuilder, dfa: Dfa) -> None:
        if builder.any_order:
            raise GrammarError(
                "JSON members in any order cannot be intersected; use property_order='schema'"
            )
        self.builder = builder
        self.dfa = dfa
        self.crossings = Crossings(builder, dfa)
        self.edges: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for source, symbol, target in zip(
            builder.source, builder.symbol, builder.target, strict=True
        ):
            self.edges[source].append((symbol, target))
        self.places: dict[Copy, set[Place]] = {}
        self.ends: dict[Copy, set[int]] = {}
        self.callers: dict[Copy, list[tuple[Copy, int]]] = {}
        self.pending: list[tuple[Copy, Place]] = []
        self.ways: dict[Copy, dict[Place, list[Way]]] = {}
        self.count = 0
        self.edge_count = 0

    def run(self) -> GrammarSpec:
        """The split rules."""
        whole = (0, 0)
        self._open(whole)
        while self.pending:
            self._step(*self.pending.pop())
        final = [end for end in sorted(self.ends[whole]) if self.dfa.accepting[end]]
        if not final:
            raise _nothing()
        rules: dict[str, Expr] = {"start": Alt(tuple(Ref(self._name(whole, end)) for end in final))}
        waiting = [(whole, end) for end in final]
        while waiting:
            copy, end = waiting.pop()
            net, used = self._net(copy, end)
            rules[self._name(copy, end)] = net
            for other in used:
                if self._name(*other) not in rules:
                    rules[self._name(*other)] = Seq(())  # until its turn comes
                    waiting.append(other)
        return GrammarSpec(rules, "start")

    def _name(self, copy: Copy, end: int) -> str:
        return f"{self.builder.rule_names[copy[0]]} {copy[0]}:{copy[1]}-{end}"

    def _open(self, copy: Copy) -> None:
        self.places[copy], self.ends[copy], self.callers[copy] = set(), set(), []
        self._reach(copy, (self.builder.rule_start[copy[0]], copy[1]))

    def _reach(self, copy: Copy, place: Place) -> None:
        known = self.places[copy]
        if place in known:
            return
        known.add(place)
        self.pending.append((copy, place))
        self.count += 1
        if self.count > MOST_PLACES:
            raise GrammarTooLargeError(
                f"the intersection needs more than {MOST_PLACES} pairs of states"
            )

    def _step(self, copy: Copy, place: Place) -> None:
        at, state = place
        if at == self.builder.rule_end[copy[0]] and state not in self.ends[copy]:
            self.ends[copy].add(state)
            for caller, target in self.callers[copy]:
                self._reach(caller, (target, state))
        for symbol, target in self.edges[at]:
            if symbol < 0 and symbol != EPSILON:
                self._call(copy, (-1 - symbol, state), target)
                continue
            for after in self._after(symbol, state):
                self._reach(copy, (target, after))

    def _call(self, caller: Copy, copy: Copy, target: int) -> None:
        if copy not in self.places:
            self._open(copy)
        self.callers[copy].append((caller, target))
        for end in self.ends[copy]:
            self._reach(caller, (target, end))

    def _after(self, symbol: int, state: int) -> dict[int, Expr]:
        """What leads on from `state` by a terminal or nothing, by where it leads."""
        return {state: Seq(())} if symbol == EPSILON else self.crossings.of(symbol, state)

    def _net(self, copy: Copy, end: int) -> tuple[Net, list[tuple[Copy, int]]]:
        """The texts of a rule that lead to `end`, and the split rules that they use."""
        first = self.builder.rule_start[copy[0]], copy[1]
        last = self.builder.rule_end[copy[0]], end
        into = self._into(copy)
        numbers: dict[Place, int] = {first: 0, last: 1}
        edges: list[tuple[int, Expr, int]] = []
        found: dict[tuple[Copy, int], None] = {}
        pending = [last]
        seen = {last}
        while pending:
            place = pending.pop()
            for before, expr, used in into.get(place, ()):
                source = numbers.setdefault(before, len(numbers))
                edges.append((source, expr, numbers[place]))
                if used is not None:
                    found[used] = None
                if before not in seen:
                    seen.add(before)
                    pending.append(before)
        self.edge_count += len(edges)
        if self.edge_count > MOST_EDGES:
            raise GrammarTooLargeError(f"the intersection needs more than {MOST_EDGES} edges")
        return Net(len(numbers), tuple(edges)), list(found)

    def _into(self, copy: Copy) -> Mapping[Place, list[Way]]:
        """For every place of a rule, from where what leads to it."""
        if copy not in self.ways:
            into = self.ways[copy] = defaultdict(list)
            for place in sorted(self.places[copy]):
                for symbol, target in self.edges[place[0]]:
                    for after, expr, used in self._ways(symbol, place[1]):
                        into[target, after].append((place, expr, used))
        return self.ways[copy]

    def _ways(self, symbol: int, state: int) -> Iterator[tuple[int, Expr, tuple[Copy, int] | None]]:
        if symbol >= 0 or symbol == EPSILON:
            for after, expr in self._after(symbol, state).items():
                yield after, expr, None
            return
        copy = -1 - symbol, state
        for end in sorted(self.ends[copy]):
            yield end, Ref(self._name(copy, end)), (copy, end)
