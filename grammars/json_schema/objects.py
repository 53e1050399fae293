"""Sets of JSON objects: clauses about members, names that are there, how many, and which names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from guided.grammars.json_schema import strings
from guided.grammars.json_schema.strings import ALL_STRINGS, Atom, StringShape
from guided.grammars.json_schema.terms import Term, Terms


class Clause:
    """What one `properties` / `patternProperties` / `additionalProperties` group asks of members.

    `evaluates` tells whether `unevaluatedProperties` counts these members as looked at; `covers`
    whether that holds for the members under `rest` too.
    """

    __slots__ = ("_key", "covers", "evaluates", "named", "patterns", "rest")

    def __init__(
        self,
        named: dict[str, Term],
        patterns: tuple[tuple[Atom, Term], ...],
        rest: Term,
        evaluates: bool = False,
        covers: bool = False,
    ) -> None:
        self.named = named
        self.patterns = patterns
        self.rest = rest
        self.evaluates = evaluates
        self.covers = covers
        self._key = (tuple(named.items()), patterns, rest, evaluates, covers)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Clause) and self._key == other._key)

    def __hash__(self) -> int:
        return hash(self._key)

    def of(self, name: str, terms: Terms) -> Term:
        """What the member `name` must be."""
        if not self.patterns:
            return self.named.get(name, self.rest)
        found = [term for atom, term in self.patterns if atom.admits(name)]
        if name in self.named:
            found.append(self.named[name])
        return terms.all_of(found) if found else self.rest


@dataclass(frozen=True, slots=True)
class Some:
    """At least one member has a name in `names` and a value in `term`."""

    names: StringShape
    term: Term


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """Objects of `least` to `most` members that meet every condition.

    `names` are expressions that every member's name must satisfy (`propertyNames`).
    """

    clauses: tuple[Clause, ...] = ()
    required: tuple[str, ...] = ()
    least: int = 0
    most: int | None = None
    names: tuple[Term, ...] = ()
    some: tuple[Some, ...] = ()

    def known(self) -> list[str]:
        """Every name that is spoken of, in order."""
        found: dict[str, object] = {}
        for clause in self.clauses:
            found.update(clause.named)
        for name in self.required:
            found.setdefault(name, None)
        return list(found)

    def member(self, name: str, terms: Terms) -> Term:
        """What the member `name` must be (`propertyNames` aside)."""
        found = terms.any
        for clause in self.clauses:
            term = clause.of(name, terms)
            if found is terms.any:
                found = term
            elif term is not found and term is not terms.any:
                found = terms.all_of((found, term))
        return found

    @property
    def is_everything(self) -> bool:
        """Whether all objects belong to the set."""
        asked = self.clauses or self.required or self.least or self.names or self.some
        return not asked and self.most is None

    def mentioned(self, terms: Terms) -> set[str] | None:
        """The names whose members it asks something of; None where these may be any."""
        found = set(self.required)
        for clause in self.clauses:
            if clause.patterns or clause.rest is not terms.any:
                return None
            found.update(clause.named)
        return found


ALL_OBJECTS = ObjectShape()


def meet(a: ObjectShape, b: ObjectShape, terms: Terms) -> ObjectShape | None:
    """The objects in both, None where there is plainly none."""
    if a.is_everything:
        return b
    if b.is_everything:
        return a
    shape = ObjectShape(
        _joined(a.clauses, b.clauses, terms),
        tuple(dict.fromkeys(a.required + b.required)),
        max(a.least, b.least),
        a.most if b.most is None else b.most if a.most is None else min(a.most, b.most),
        tuple(dict.fromkeys(a.names + b.names)),
        tuple(dict.fromkeys(a.some + b.some)),
    )
    return checked(shape, terms, b.mentioned(terms))


def _joined(a: tuple[Clause, ...], b: tuple[Clause, ...], terms: Terms) -> tuple[Clause, ...]:
    """The clauses of both; those that only constrain named members become one."""
    if not a or not b:
        return a or b
    clauses = dict.fromkeys((*a, *b))
    plain = [c for c in clauses if c.rest is terms.any and not c.patterns and not c.evaluates]
    if len(plain) < 2:
        return tuple(clauses)
    named: dict[str, Term] = {}
    for clause in plain:
        for name, term in clause.named.items():
            known = named.get(name)
            named[name] = term if known is None else terms.all_of((known, term))
    kept = (clause for clause in clauses if clause not in plain)
    return (*kept, Clause(named, (), terms.any))


def checked(
    shape: ObjectShape, terms: Terms, changed: set[str] | None = None
) -> ObjectShape | None:
    """`shape`, or None where there is plainly no such object.

    `changed` are the members that have not been looked at yet, None: all of them.
    """
    fewest = max(shape.least, len(shape.required), bool(shape.some))
    if shape.most is not None and fewest > shape.most:
        return None
    names = shape.required if changed is None else changed.intersection(shape.required)
    if any(shape.member(name, terms) is terms.never for name in names):
        return None
    if shape.least > len(shape.required) and shape.least > _most_members(shape, terms):
        return None
    return shape


def _most_members(shape: ObjectShape, terms: Terms) -> float:
    """How many members there can be: the known names where no other is allowed."""
    if not any(c.rest is terms.never and not c.patterns for c in shape.clauses):
        return float("inf")
    return sum(shape.member(name, terms) is not terms.never for name in shape.known())


def absent(name: str, terms: Terms) -> ObjectShape:
    """Objects without the member `name`."""
    return ObjectShape((Clause({name: terms.never}, (), terms.any),))


def present(name: str, term: Term, terms: Terms) -> ObjectShape:
    """Objects whose member `name` is there and belongs to `term`."""
    clauses = () if term is terms.any else (Clause({name: term}, (), terms.any),)
    return ObjectShape(clauses, (name,))


def complement(
    shape: ObjectShape, terms: Terms, bad_names: Iterable[StringShape] = ()
) -> Iterator[tuple[ObjectShape, ObjectShape]]:
    """The conditions of `shape` one by one, each as (where it fails, where it holds).

    `bad_names` are the names that `shape.names` forbids.
    """
    yield from _named_conditions(shape, terms)
    if shape.least:
        yield ObjectShape(most=shape.least - 1), ObjectShape(least=shape.least)
    if shape.most is not None:
        yield ObjectShape(least=shape.most + 1), ObjectShape(most=shape.most)
    for clause in shape.clauses:
        yield from _conditions_of_names(clause, terms)
    for names in bad_names:
        yield _for_some(Some(names, terms.any), terms)
    for some in shape.some:
        fails, holds = _for_some(some, terms)
        yield holds, fails


def _named_conditions(
    shape: ObjectShape, terms: Terms
) -> Iterator[tuple[ObjectShape, ObjectShape]]:
    """What is asked of members by name; those that must be there come first."""
    asked: dict[str, list[Term]] = {name: [] for name in shape.required}
    for clause in shape.clauses:
        for name, term in clause.named.items():
            asked.setdefault(name, []).append(term)
    for name, found in asked.items():
        term = terms.all_of(found)
        opposite = terms.negation(term)
        if name in shape.required:
            # Absent, or there with another value.
            fails = ObjectShape((Clause({name: opposite}, (), terms.any),))
            yield fails, present(name, term, terms)
        elif term is not terms.any:
            holds = ObjectShape((Clause({name: term}, (), terms.any),))
            yield present(name, opposite, terms), holds


def _conditions_of_names(clause: Clause, terms: Terms) -> Iterator[tuple[ObjectShape, ObjectShape]]:
    for atom, term in clause.patterns:
        if term is not terms.any:
            names = StringShape(atoms=frozenset({atom}))
            yield _for_some(Some(names, terms.negation(term)), terms)
    if clause.rest is not terms.any:
        yield _for_some(Some(other_names(clause), terms.negation(clause.rest)), terms)


def _for_some(some: Some, terms: Terms) -> tuple[ObjectShape, ObjectShape]:
    """Objects with such a member, and objects without."""
    return ObjectShape(some=(some,)), _without(some, terms)


def other_names(clause: Clause) -> StringShape:
    """The names that fall under `clause.rest`."""
    atoms = {atom.negated() for atom, _ in clause.patterns}
    if clause.named:
        atoms.add(Atom("words", tuple(sorted(clause.named)), False))
    return StringShape(atoms=frozenset(atoms))


def _without(some: Some, terms: Terms) -> ObjectShape:
    """Objects all of whose members with a name in `some.names` are outside `some.term`."""
    opposite = terms.negation(some.term)
    shape = some.names
    if shape.words is not None:
        return ObjectShape((Clause(dict.fromkeys(shape.words, opposite), (), terms.any),))
    if shape.is_everything:
        return ObjectShape((Clause({}, (), opposite),))
    if shape.least or shape.most is not None:
        raise strings.InexpressibleError("the opposite of a rule about names of a given length")
    # A name outside any of the atoms is free.
    free = tuple((atom.negated(), terms.any) for atom in sorted(shape.atoms, key=repr))
    return ObjectShape((Clause({}, free, opposite),))


def spread(shape: ObjectShape, terms: Terms) -> list[ObjectShape]:
    """The same set as a union in which each `some` speaks of names outside `known()` only."""
    if not shape.some:
        return [shape]
    known = shape.known()
    found = [replace(shape, some=())]
    for some in shape.some:
        grown: list[ObjectShape | None] = []
        for one in found:
            for name in known:
                if some.names.contains(name):
                    grown.append(meet(one, present(name, some.term, terms), terms))
            rest = _beyond(some.names, known)
            if rest is not None and _most_members(one, terms) == float("inf"):
                grown.append(
                    replace(one, some=tuple(dict.fromkeys((*one.some, Some(rest, some.term)))))
                )
        found = [one for one in grown if one is not None]
        if len(found) > 256:
            raise strings.InexpressibleError(
                "rules about members that must exist combine too often"
            )
    return found


def _beyond(names: StringShape, known: list[str]) -> StringShape | None:
    """Those of `names` that are not known, in one form for equal sets."""
    covered = set(known)
    if names.words is not None:
        left = tuple(word for word in names.words if word not in covered)
        return StringShape(words=left) if left else None
    kept = {
        atom
        for atom in names.atoms
        if atom.kind != "words" or atom.holds or not covered.issuperset(atom.value)  # type: ignore[arg-type]
    }
    return strings.meet(replace(names, atoms=frozenset(kept)), outside(known))


def outside(known: Iterable[str]) -> StringShape:
    """All strings but the known names."""
    names = tuple(sorted(known))
    return StringShape(atoms=frozenset({Atom("words", names, False)})) if names else ALL_STRINGS
