"""Turns the right-hand sides of a grammar into rule automata (edge lists)."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from guided.errors import GrammarError, GrammarTooLargeError
from guided.grammars.automata import Dfa
from guided.grammars.free_group import EXTRA, FreeGroup, Way
from guided.grammars.ir import (
    DISTINCT,
    FREE_TEXT,
    SCARCE,
    Alt,
    CountedString,
    Expr,
    GrammarSpec,
    Lex,
    Member,
    Members,
    Net,
    Ref,
    Repeat,
    Seq,
)
from guided.grammars.marks import Marks
from guided.kernels.memo_arrays import EPSILON, PLAIN

#: Rule states that one grammar may have.
STATE_LIMIT = 2_000_000


class RuleBuilder:
    """Collects rule states, edges and terminals of a grammar.

    Edge i leads from `source[i]` to `target[i]` by `symbol[i]`: a terminal, -1 - rule, or EPSILON.
    `free_text` and `distinct` hold the terminals of that name, `scarce` what stands in theirs.
    """

    def __init__(self, spec: GrammarSpec, *, in_order: bool = False) -> None:
        """`in_order` keeps only the texts whose members have the order of the grammar."""
        self.spec = spec
        self._in_order = in_order
        self.rule_ids: dict[str, int] = {}
        self.rule_names: list[str] = []
        self.rule_start: list[int] = []
        self.rule_end: list[int] = []
        self.n_states = 0
        self.source = array("i")
        self.symbol = array("i")
        self.target = array("i")
        self.lexemes: list[tuple[Dfa | None, int, int]] = []
        self.free_text: set[int] = set()
        self.distinct: set[int] = set()
        self.scarce: dict[int, str] = {}
        self.any_order: dict[int, FreeGroup] = {}
        self._lexeme_ids: dict[tuple[Hashable, int, int, str], int] = {}
        # By the object, which is kept with them: many edges share one.
        self._symbols: dict[int, tuple[Lex, tuple[int, ...]]] = {}
        self._waiting: list[tuple[int, Expr]] = []

    @property
    def marks(self) -> Marks:
        """What is special about some terminals and rule states."""
        free_text, distinct = frozenset(self.free_text), frozenset(self.distinct)
        return Marks(free_text, distinct, self.scarce, self.any_order)

    def build(self) -> None:
        """Builds every rule that the start rule reaches.

        Raises:
            GrammarError: a rule is used but not defined.
            GrammarTooLargeError: more than STATE_LIMIT rule states.
        """
        self.rule(self.spec.start)
        while self._waiting:
            rule, expr = self._waiting.pop()
            self.expression(expr, self.rule_start[rule], self.rule_end[rule])

    def rule(self, name: str) -> int:
        """Number of the rule `name`, which is built later."""
        found = self.rule_ids.get(name)
        if found is not None:
            return found
        if name not in self.spec.rules:
            raise GrammarError(f"rule {name!r} is used but not defined")
        rule = self.rule_ids[name] = self._add_rule(name, self.spec.rules[name])
        return rule

    def _add_rule(self, name: str, expr: Expr) -> int:
        self.rule_names.append(name)
        self.rule_start.append(self.state())
        self.rule_end.append(self.state())
        self._waiting.append((len(self.rule_names) - 1, expr))
        return len(self.rule_names) - 1

    def state(self) -> int:
        """A new rule state."""
        number = self.n_states
        if number >= STATE_LIMIT:
            raise _too_many()
        self.n_states = number + 1
        return number

    def edge(self, source: int, symbol: int, target: int) -> None:
        """Adds one edge."""
        self.source.append(source)
        self.symbol.append(symbol)
        self.target.append(target)

    def terminal(self, dfa: Dfa | None, least: int, most: int, role: str = "") -> int:
        """Number of a terminal; `dfa` None is the JSON string literal. Each role has its own."""
        key = (None if dfa is None else dfa.identity, least, most, role)
        found = self._lexeme_ids.get(key)
        if found is None:
            found = self._lexeme_ids[key] = len(self.lexemes)
            self.lexemes.append((dfa, least, most))
        return found

    def expression(self, expr: Expr, start: int, end: int) -> None:
        """Adds the automaton of `expr` between two states."""
        add = _KINDS.get(type(expr))
        if add is None:
            raise GrammarError(f"{type(expr).__name__} is not a grammar expression")
        add(self, expr, start, end)

    def row(self, expr: Expr) -> tuple[int, ...]:
        """The symbols of `expr` where they are a plain row of one or more; else none."""
        found = []
        for part in expr.parts if isinstance(expr, Seq) else (expr,):
            kind = type(part)
            if kind is Lex:
                symbols = self._known_symbols(part)  # type: ignore[arg-type]
                if len(symbols) != 1:
                    return ()
                found.append(symbols[0])
            elif isinstance(part, Ref):
                found.append(-1 - self.rule(part.name))
            elif isinstance(part, CountedString) and (part.most is None or part.most >= part.least):
                found.append(self._counted_terminal(part))
            elif isinstance(part, Row):
                found += part.symbols
            else:
                return ()
        return tuple(found)

    def add_row(self, symbols: tuple[int, ...], start: int, end: int) -> None:
        """Adds a row of symbols between two states."""
        first = self.n_states
        last = first + len(symbols) - 1
        if last > STATE_LIMIT:
            raise _too_many()
        self.n_states = last
        inner = range(first, last)
        self.source.append(start)
        self.source.extend(inner)
        self.symbol.extend(symbols)
        self.target.extend(inner)
        self.target.append(end)

    def _known_symbols(self, expr: Lex) -> tuple[int, ...]:
        known = self._symbols.get(id(expr))
        if known is None:
            known = self._symbols[id(expr)] = expr, self._lex_symbols(expr)
        return known[1]

    def _lex(self, expr: Lex, start: int, end: int) -> None:
        for symbol in self._known_symbols(expr):
            self.source.append(start)
            self.symbol.append(symbol)
            self.target.append(end)

    def _lex_symbols(self, expr: Lex) -> tuple[int, ...]:
        """The symbols that stand for a terminal, and for the empty string where it is a word."""
        dfa = expr.dfa
        symbols = (EPSILON,) if dfa.accepts_empty() else ()
        if dfa.is_empty():
            return symbols
        if not expr.is_kept_apart:
            symbol = self.terminal(dfa, PLAIN, -1)
            if expr.name == FREE_TEXT:
                self.free_text.add(symbol)
            return (*symbols, symbol)
        symbol = self.terminal(expr.dfa, PLAIN, -1, expr.name)
        if expr.name == DISTINCT:
            self.distinct.add(symbol)
        else:
            self.scarce[symbol] = expr.name.removeprefix(SCARCE)
        return (*symbols, symbol)

    def _ref(self, expr: Ref, start: int, end: int) -> None:
        self.edge(start, -1 - self.rule(expr.name), end)

    def _alternatives(self, expr: Alt, start: int, end: int) -> None:
        for part in expr.parts:
            self.expression(part, start, end)

    def _row(self, expr: Row, start: int, end: int) -> None:
        self.add_row(expr.symbols, start, end)

    def _counted(self, expr: CountedString, start: int, end: int) -> None:
        if expr.most is not None and expr.most < expr.least:
            return
        self.edge(start, self._counted_terminal(expr), end)

    def _counted_terminal(self, expr: CountedString) -> int:
        if expr.least <= 0 and expr.most is None:
            return self.terminal(None, PLAIN, -1)
        return self.terminal(None, expr.least, -1 if expr.most is None else expr.most)

    def _sequence(self, expr: Seq, start: int, end: int) -> None:
        parts = expr.parts
        if not parts:
            self.edge(start, EPSILON, end)
            return
        at, last = start, len(parts) - 1
        for i, part in enumerate(parts):
            following = end if i == last else self.state()
            if type(part) is Lex:
                self._lex(part, at, following)
            else:
                self.expression(part, at, following)
            at = following

    def _repeat(self, expr: Repeat, start: int, end: int) -> None:
        at = start
        row = self.row(expr.part) if max(expr.least, expr.most or 0) > 1 else ()  # maybe thousands
        part = Row(row) if row else expr.part
        for _ in range(expr.least):
            following = self.state()
            self.expression(part, at, following)
            at = following
        if expr.most is None:
            loop = self.state()
            self.edge(at, EPSILON, loop)
            self.expression(part, loop, loop)
            self.edge(loop, EPSILON, end)
            return
        for _ in range(expr.most - expr.least):
            following = self.state()
            self.edge(at, EPSILON, end)
            self.expression(part, at, following)
            at = following
        self.edge(at, EPSILON, end)

    def _net(self, expr: Net, start: int, end: int) -> None:
        # Edges into the first state and out of the last one must not mix with those beside.
        inner = [self.state() for _ in range(expr.n_states)]
        self.edge(start, EPSILON, inner[0])
        self.edge(inner[1], EPSILON, end)
        for source, part, target in expr.edges:
            self.expression(part, inner[source], inner[target])

    def _members(self, expr: Members, start: int, end: int) -> None:
        if expr.in_order or self._in_order:
            MemberChain(self, expr, end).build(start)
            return
        # States of free order are sets of seen members, made when they are reached. The start may
        # have other edges (it can be shared with an alternative), so it gets its own.
        home = self.state()
        self.edge(start, EPSILON, home)
        ways = [self._ways(member.expr, i) for i, member in enumerate(expr.members)]
        extra = () if expr.extra is None else self._ways(expr.extra, EXTRA)
        separator, every = self._symbol(expr.separator), (*itertools.chain(*ways), *extra)
        required = tuple(member.required for member in expr.members)
        self.any_order[home] = FreeGroup(required, expr.least, expr.most, every, separator, end)
        # For distances a chain is as good: the order changes no length. Where what is required is
        # enough, nothing else is in a shortest text.
        needed = list(itertools.compress(ways, required))
        if expr.least <= len(needed) <= (len(needed) if expr.most is None else expr.most):
            parts = (part for way in needed for part in (Row((separator,)), _in_symbols(way)))
            self.expression(Seq(tuple(parts)[1:]), home, end)
            return
        chain = replace(
            expr,
            members=tuple(
                Member(_in_symbols(way), member.required)
                for way, member in zip(ways, expr.members, strict=True)
            ),
            extra=_in_symbols(extra) if extra else None,
            separator=Row((separator,)),
        )
        shadow = self.state()
        self.edge(home, EPSILON, shadow)
        MemberChain(self, chain, end).build(shadow)

    def _ways(self, expr: Expr, member: int) -> tuple[Way, ...]:
        """The ways to write one member."""
        if isinstance(expr, Seq) and len(expr.parts) > 1:
            rest = expr.parts[1] if len(expr.parts) == 2 else Seq(expr.parts[1:])
            return (Way(member, self._symbol(expr.parts[0]), self._symbol(rest)),)
        if isinstance(expr, Alt):
            return tuple(itertools.chain(*(self._ways(part, member) for part in expr.parts)))
        return (Way(member, self._symbol(expr), EPSILON),)

    def _symbol(self, expr: Expr) -> int:
        """One symbol for `expr`: a terminal, or a call of a rule."""
        if isinstance(expr, Ref):
            return -1 - self.rule(expr.name)
        if isinstance(expr, Lex) and expr.name != FREE_TEXT and not expr.is_kept_apart:
            symbols = self._known_symbols(expr)
            if len(symbols) == 1 and symbols[0] != EPSILON:
                return symbols[0]
        elif isinstance(expr, CountedString) and (expr.most is None or expr.most >= expr.least):
            return self._counted_terminal(expr)
        return -1 - self._add_rule("part of a member", expr)


def _too_many() -> GrammarTooLargeError:
    return GrammarTooLargeError(f"the grammar needs more than {STATE_LIMIT} rule states")


def _in_symbols(ways: tuple[Way, ...]) -> Expr:
    return Alt(tuple(Row((way.first, way.second)) for way in ways))


@dataclass(frozen=True, slots=True)
class Row(Expr):
    """Symbols of the grammar being built, one after the other."""

    symbols: tuple[int, ...]


class MemberChain:
    """Rule states of `Members` in order: (members passed, members present up to a cap)."""

    def __init__(self, builder: RuleBuilder, expr: Members, end: int) -> None:
        self.builder = builder
        self.expr = expr
        self.end = end
        # Presence beyond `cap` makes no difference.
        self.cap = max(1, expr.least) if expr.most is None else max(expr.most, 0)
        self.separator = builder.row(expr.separator)

    def build(self, start: int) -> None:
        """Adds the chain from `start`."""
        builder, expr = self.builder, self.expr
        here = {0: start}
        for member in expr.members:
            row = builder.row(member.expr)
            onward: dict[int, int] = {}
            for present, state in sorted(here.items()):
                self._emit(state, member.expr, row, present, onward)
                if not member.required:
                    builder.edge(state, EPSILON, self._state(onward, present))
            here = onward
        row = () if expr.extra is None else builder.row(expr.extra)
        present = 0
        while present <= self.cap:
            found = here.get(present)
            if found is not None:
                if expr.extra is not None:
                    self._emit(found, expr.extra, row, present, here)
                if present >= expr.least:
                    builder.edge(found, EPSILON, self.end)
            present += 1

    def _state(self, onward: dict[int, int], present: int) -> int:
        found = onward.get(present)
        if found is None:
            found = onward[present] = self.builder.state()
        return found

    def _emit(
        self, here: int, expr: Expr, row: tuple[int, ...], present: int, onward: dict[int, int]
    ) -> None:
        """Adds one more member, with its symbols `row` where they are plain."""
        more = present + 1
        if more > self.cap:
            if self.expr.most is not None:
                return
            more = self.cap
        builder, at = self.builder, here
        if present > 0:
            if row and self.separator:
                builder.add_row((*self.separator, *row), here, self._state(onward, more))
                return
            at = builder.state()
            builder.expression(self.expr.separator, here, at)
        target = self._state(onward, more)
        if row:
            builder.add_row(row, at, target)
        else:
            builder.expression(expr, at, target)


_KINDS: dict[type[Expr], Callable[..., None]] = {
    Lex: RuleBuilder._lex,
    Ref: RuleBuilder._ref,
    Seq: RuleBuilder._sequence,
    Alt: RuleBuilder._alternatives,
    Repeat: RuleBuilder._repeat,
    CountedString: RuleBuilder._counted,
    Members: RuleBuilder._members,
    Net: RuleBuilder._net,
    Row: RuleBuilder._row,
}
