"""Weaves ignored text into a whole grammar.

Where a watch outlives the terminal after the skipped text (with /(\\s|--.*)+/ ignored, "-" after a
space must not be followed by "-"), the rest of the text depends on it. Rules are then split by the
watches that hold where they begin and end, as in the intersection of a context-free grammar with an
automaton. Nearly all grammars have no such watch and keep their rules.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from guided.errors import GrammarTooLargeError
from guided.grammars.automata import Dfa, epsilon, union
from guided.grammars.ir import Alt, Expr, GrammarSpec, Lex, Ref, Repeat, Seq
from guided.grammars.lark.ignored import NOTHING, Skipper, Watches

TEXT = "%text"  # the new start rule; no Lark rule can have this name
MOST_COPIES = 64  # of a counted part that must be split


def weave(spec: GrammarSpec, ignored: Sequence[Dfa]) -> GrammarSpec:
    """The texts of `spec` with `ignored` terminals skipped where Lark skips them.

    Raises GrammarTooLargeError when that needs too many states or rules.
    """
    if not ignored:
        return spec
    return _Weaver(spec, Skipper(ignored)).run()


NOWHERE: frozenset[Watches] = frozenset()


class _Weaver:
    def __init__(self, spec: GrammarSpec, skipper: Skipper) -> None:
        self.spec = spec
        self.skipper = skipper
        self.ends: dict[tuple[str, Watches], frozenset[Watches]] = {}
        self.rules: dict[str, Expr] = {}
        self.names: dict[tuple[Hashable, Watches, Watches], str] = {}
        self.pending: list[tuple[str, Watches, Watches]] = []

    def run(self) -> GrammarSpec:
        self._find_ends()
        readings = []
        for end in self.ends[self.spec.start, NOTHING]:
            trailing = union(self.skipper.before(epsilon(), end).values())
            readings.append(Seq((self._reference(self.spec.start, NOTHING, end), Lex(trailing))))
        self.rules[TEXT] = _one_of(readings)
        while self.pending:
            name, begin, end = self.pending.pop()
            woven = self._woven(self.spec.rules[name], begin, end)
            self.rules[self.names[name, begin, end]] = woven
        return GrammarSpec(self.rules, TEXT)

    def _name(self, what: Hashable, begin: Watches, end: Watches) -> tuple[str, bool]:
        """The name of a split rule, and whether it is new."""
        key = what, begin, end
        if is_new := key not in self.names:
            plain = isinstance(what, str) and not begin and not end
            self.names[key] = str(what) if plain else f"%{len(self.names)}"
        return self.names[key], is_new

    def _reference(self, rule: str, begin: Watches, end: Watches) -> Expr:
        name, is_new = self._name(rule, begin, end)
        if is_new:
            self.pending.append((rule, begin, end))
        return Ref(name)

    # With which watches an expression can end.

    def _find_ends(self) -> None:
        """Fills `ends` for every rule and the watches with which it can begin."""
        self.ends[self.spec.start, NOTHING] = NOWHERE
        known: dict[tuple[str, Watches], frozenset[Watches]] = {}
        while known != self.ends:
            known = dict(self.ends)
            for name, begin in known:
                self.ends[name, begin] = self._ends_of(self.spec.rules[name], begin)

    def _ends_of(self, expr: Expr, begin: Watches) -> frozenset[Watches]:
        match expr:
            case Lex(dfa):
                return frozenset(self.skipper.before(dfa, begin))
            case Ref(name):
                return self.ends.setdefault((name, begin), NOWHERE)
            case Seq(parts):
                return self._reached(parts, begin)[-1]
            case Alt(parts):
                return NOWHERE.union(*(self._ends_of(part, begin) for part in parts))
            case Repeat(part, least, most):
                return self._ends_of_repeat(part, begin, least, most)
        raise TypeError(f"not an expression of a Lark grammar: {expr!r}")

    def _after(self, part: Expr, begins: frozenset[Watches]) -> frozenset[Watches]:
        return NOWHERE.union(*(self._ends_of(part, begin) for begin in begins))

    def _reached(self, parts: Sequence[Expr], begin: Watches) -> list[frozenset[Watches]]:
        """The watches before each part and after the last."""
        reached = [frozenset({begin})]
        for part in parts:
            reached.append(self._after(part, reached[-1]))
        return reached

    def _ends_of_repeat(
        self, part: Expr, begin: Watches, least: int, most: int | None
    ) -> frozenset[Watches]:
        now = frozenset({begin})
        found = now if least == 0 else NOWHERE
        seen: set[frozenset[Watches]] = set()
        count = 0
        while (most is None or count < most) and not (count >= least and now in seen):
            seen.add(now)
            before, now = now, self._after(part, now)
            count += 1
            found = found | now if count >= least else found
            if now == before:
                return found | now
        return found

    # The expression for the words that begin and end with given watches.

    def _woven(self, expr: Expr, begin: Watches, end: Watches) -> Expr:
        match expr:
            case Lex(dfa, name):
                return Lex(self.skipper.before(dfa, begin)[end], name)
            case Ref(name):
                return self._reference(name, begin, end)
            case Seq(parts):
                return self._woven_sequence(parts, begin, end)
            case Alt(parts):
                fitting = [part for part in parts if end in self._ends_of(part, begin)]
                return _one_of([self._woven(part, begin, end) for part in fitting])
            case Repeat(part, least, most):
                if self._ends_of_repeat(part, begin, 0, None) == {begin}:
                    if begin not in self._ends_of(part, begin):
                        return Seq(())  # the part has no word: only no repetition is left
                    return Repeat(self._woven(part, begin, begin), least, most)
                return self._loop(part, least, most, begin, end)
        raise TypeError(f"not an expression of a Lark grammar: {expr!r}")

    def _woven_sequence(self, parts: Sequence[Expr], begin: Watches, end: Watches) -> Expr:
        reached = self._reached(parts, begin)
        rest: dict[Watches, tuple[Expr, ...]] = {end: ()}
        for part, begins in zip(reversed(parts), reversed(reached[:-1]), strict=True):
            longer = {}
            for now in begins:
                after = self._ends_of(part, now)
                ways = [(self._woven(part, now, w), *rest[w]) for w in rest if w in after]
                if ways:
                    longer[now] = ways[0] if len(ways) == 1 else (self._shared(ways),)
            rest = longer
        return Seq(rest[begin])

    def _shared(self, ways: list[tuple[Expr, ...]]) -> Expr:
        """A rule of its own, so that what is reached in several ways is written once."""
        expr = _one_of([Seq(way) for way in ways])
        name, is_new = self._name(expr, NOTHING, NOTHING)
        if is_new:
            self.rules[name] = expr
        return Ref(name)

    def _loop(self, part: Expr, least: int, most: int | None, begin: Watches, end: Watches) -> Expr:
        if max(least, most or 0) > MOST_COPIES:
            raise GrammarTooLargeError(
                f"a part is repeated more than {MOST_COPIES} times where the end of ignored text "
                "depends on what follows"
            )
        name, is_new = self._name((part, least, most), begin, end)
        if is_new:
            ways: list[Expr] = [Seq(())] if least == 0 and begin == end else []
            fewer = max(least - 1, 0), None if most is None else most - 1
            for now in self._ends_of(part, begin) if most != 0 else NOWHERE:
                if end in self._ends_of_repeat(part, now, *fewer):
                    once = self._woven(part, begin, now)
                    ways.append(Seq((once, self._loop(part, *fewer, now, end))))
            self.rules[name] = _one_of(ways)
        return Ref(name)


def _one_of(ways: Sequence[Expr]) -> Expr:
    return ways[0] if len(ways) == 1 else Alt(tuple(ways))
