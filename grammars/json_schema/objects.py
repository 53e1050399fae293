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

    __slots__ = ("covers", "evaluates", "named", "patterns", "rest")

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
        found: dict[str, None] = {}
        for clause in self.clauses:
            found.update(dict.fromkeys(clause.named))
        found.update(dict.fromkeys(self.required))
        return list(found)

    def member(self, name: str, terms: Terms) -> Term:
        """What the member `name` must be (`propertyNames` aside)."""
        if len(self.clauses) == 1:
            return self.clauses[0].of(name, terms)
        return terms.all_of([clause.of(name, terms) for clause in self.clauses])

    @property
    def is_everything(self) -> bool:
        """Whether all objects belong to the set."""
        return self == ObjectShape()


ALL_OBJECTS = ObjectShape()


def meet(a: ObjectShape, b: ObjectShape, terms: Terms) -> ObjectShape | None:
    """The objects in both, None where there is plainly none."""
    if a.is_everything:
        return b
    if b.is_everything:
        return a
    shape = ObjectShape(
        tuple(dict.fromkeys(a.clauses + b.clauses)),
        tuple(dict.fromkeys(a.required + b.required)),
        max(a.least, b.least),
        a.most if b.most is None else b.most if a.most is None else min(a.most, b.most),
        tuple(dict.fromkeys(a.names + b.names)),
        tuple(dict.fromkeys(a.some + b.some)),
    )
    return checked(shape, terms)


def checked(shape: ObjectShape, terms: Terms) -> ObjectShape | None:
    """`shape`, or None where there is plainly no such object."""
    if shape.most is not None and max(shape.least, len(shape.required)) > shape.most:
        return None
    if any(shape.member(name, terms) is terms.never for name in shape.required):
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
) -> Iterator[ObjectShape]:
    """Sets that together hold exactly the objects not in `shape`.

    `bad_names` are the names that `shape.names` forbids.
    """
    for name in shape.required:
        yield absent(name, terms)
    if shape.least:
        yield ObjectShape(most=shape.least - 1)
    if shape.most is not None:
        yield ObjectShape(least=shape.most + 1)
    for clause in shape.clauses:
        yield from _violations(clause, terms)
    for names in bad_names:
        yield ObjectShape(some=(Some(names, terms.any),))
    for some in shape.some:
        yield _without(some, terms)


def _violations(clause: Clause, terms: Terms) -> Iterator[ObjectShape]:
    for name, term in clause.named.items():
        if term is not terms.any:
            yield present(name, terms.negation(term), terms)
    for atom, term in clause.patterns:
        if term is not terms.any:
            names = StringShape(atoms=frozenset({atom}))
            yield ObjectShape(some=(Some(names, terms.negation(term)),))
    if clause.rest is not terms.any:
        yield ObjectShape(some=(Some(other_names(clause), terms.negation(clause.rest)),))


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
        raise strings.Inexpressible("the opposite of a rule about names of a given length")
    # A name outside any of the atoms is free.
    free = tuple((atom.negated(), terms.any) for atom in sorted(shape.atoms, key=repr))
    return ObjectShape((Clause({}, free, opposite),))


def spread(shape: ObjectShape, terms: Terms) -> list[ObjectShape]:
    """The same set as a union in which each `some` speaks of names outside `known()` only."""
    known = shape.known()
    found = [replace(shape, some=())]
    for some in shape.some:
        grown: list[ObjectShape | None] = []
        for one in found:
            for name in known:
                if some.names.contains(name):
                    grown.append(meet(one, present(name, some.term, terms), terms))
            rest = strings.meet(some.names, _outside(known))
            if rest is not None and _most_members(one, terms) == float("inf"):
                grown.append(replace(one, some=(*one.some, Some(rest, some.term))))
        found = [one for one in grown if one is not None]
        if len(found) > 256:
            raise strings.Inexpressible("rules about members that must exist combine too often")
    return found


def _outside(known: list[str]) -> StringShape:
    if not known:
        return ALL_STRINGS
    return StringShape(atoms=frozenset({Atom("words", tuple(sorted(known)), False)}))
