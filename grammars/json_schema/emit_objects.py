"""How the objects of a shape are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from guided.errors import GrammarTooLargeError
from guided.grammars import automata
from guided.grammars.automata import Dfa
from guided.grammars.ir import Alt, Expr, Lex, Member, Members, Seq
from guided.grammars.json_schema import objects, strings
from guided.grammars.json_schema.context import Writer
from guided.grammars.json_schema.layout import Layout
from guided.grammars.json_schema.objects import Clause, ObjectShape, Some
from guided.grammars.json_schema.quoting import plain_strings, quoted, quoted_except, quoted_word
from guided.grammars.json_schema.readings import written
from guided.grammars.json_schema.strings import Atom, InexpressibleError, StringShape
from guided.grammars.json_schema.terms import Term, Terms

_MOST_CLASSES = 64
_MOST_NAMES = 64
_MOST_WITNESSES = 4
NEVER = Alt(())


def object_expr(shape: ObjectShape, writer: Writer) -> Expr:
    """The text of an object in `shape`; raises InexpressibleError."""
    layout = writer.style.layout
    shape = _with_few_names(shape, writer)
    bodies = [
        body
        for one in objects.spread(shape, writer.translator.terms)
        for body in _bodies(one, writer)
    ]
    bodies = [body for body in bodies if body is not NEVER]
    if not bodies:
        return NEVER
    body = bodies[0] if len(bodies) == 1 else Alt(tuple(bodies))
    return Seq((layout.open_object, body, layout.close_object))


def _with_few_names(shape: ObjectShape, writer: Writer) -> ObjectShape:
    """The same set, names that are few listed one by one where members must be told apart."""
    if shape.least < 2 and not shape.some:
        return shape
    any_term = writer.translator.terms.any
    words = [word for names, _ in _name_classes(shape, writer) for word in _few_words(names)]
    if not words:
        return shape
    listed = Clause(dict.fromkeys(words, any_term), (), any_term)
    return replace(shape, clauses=(*shape.clauses, listed))


def _few_words(names: StringShape) -> list[str]:
    """All of `names` where they are few, else none."""
    if names.words is not None:
        return list(names.words) if len(names.words) <= _MOST_NAMES else []
    dfa = strings.language(names)
    if dfa.longest_length() is None:
        return []
    words = dfa.words(_MOST_NAMES + 1)
    return [word.decode() for word in words] if len(words) <= _MOST_NAMES else []


def _bodies(shape: ObjectShape, writer: Writer) -> list[Expr]:
    """The members of an object whose `some` speaks of unknown names only, as alternatives."""
    terms = writer.translator.terms
    # A name that is there remains there, whatever follows; a value may be replaced.
    names = [some for some in shape.some if some.term is terms.any]
    if len(names) > _MOST_WITNESSES:
        raise InexpressibleError(f"more than {_MOST_WITNESSES} members of unknown name must exist")
    rest = replace(shape, some=tuple(some for some in shape.some if some not in names))
    return [_body(rest, groups, writer) for groups in _partitions(names)]


def _partitions(somes: list[Some]) -> Iterator[list[list[Some]]]:
    """All ways to divide `somes` into groups, each of which one member meets."""
    if not somes:
        yield []
        return
    first, *others = somes
    for groups in _partitions(others):
        yield [[first], *groups]
        for index, group in enumerate(groups):
            yield [*groups[:index], [first, *group], *groups[index + 1 :]]


def _body(shape: ObjectShape, groups: list[list[Some]], writer: Writer) -> Expr:
    """The members of an object with one more for each of the groups that it meets."""
    terms = writer.translator.terms
    known = [name for name in shape.known() if _name_allowed(name, shape, writer)]
    if not set(shape.required) <= set(known):
        return NEVER
    found = {name: shape.member(name, terms) for name in known}
    found = {name: term for name, term in found.items() if term is not terms.never}
    members = tuple(
        Member(_named_member(name, term, writer), name in shape.required)
        for name, term in found.items()
    )
    classes = _name_classes(shape, writer)
    extra = _any_member(classes, writer)
    witnesses = [_any_member(_common(classes, group, terms), writer) for group in groups]
    one_kind = len(members) + (extra is not None) <= 1
    in_order = one_kind or (writer.style.in_order and _has_order(shape, set(found)))
    whole = Members(
        (*members, *(Member(one) for one in witnesses if one is not None)),
        writer.style.layout.comma,
        extra,
        in_order and not groups,
        shape.least,
        shape.most,
    )
    if None in witnesses:
        return NEVER
    if groups:
        whole = _with_witnesses(whole, len(groups))
    if not shape.some:
        return _counted(whole)
    tail = _any_member(_tails(classes, shape, terms), writer)
    return NEVER if tail is None else _ended(whole, tail)


def _has_order(shape: ObjectShape, names: set[str]) -> bool:
    """Whether one `properties` holds all of `names`, so that the schema gives their order.

    Where several schemas each name some, or names are only required, no order is given.
    """
    listed = [clause.named.keys() for clause in shape.clauses if clause.evaluates and clause.named]
    if not listed:
        return len(names) < 2
    largest = max(listed, key=len)
    return all(one <= largest for one in listed) and largest >= names


def _common(
    classes: list[tuple[StringShape, Term]], group: list[Some], terms: Terms
) -> list[tuple[StringShape, Term]]:
    """The members that meet every one of `group`."""
    for some in group:
        found = [(strings.meet(names, some.names), term) for names, term in classes]
        classes = [
            (names, term)
            for names, term in found
            if names is not None and not strings.is_empty(names) and term is not terms.never
        ]
    return classes


def _with_witnesses(whole: Members, count: int) -> Members:
    """`whole`, of which the last `count` members have free names that may be the same."""
    distinct = sum(member.required for member in whole.members) - count + 1
    if whole.least > distinct:
        raise InexpressibleError("minProperties beside members of unknown name that must exist")
    return replace(whole, least=0)


def _tails(
    classes: list[tuple[StringShape, Term]], shape: ObjectShape, terms: Terms
) -> list[tuple[StringShape, Term]]:
    """The members that are all that `shape.some` asks for, at once."""
    if len({some.term for some in shape.some}) > 1:
        raise InexpressibleError("several members of unknown name must exist")
    found = classes
    for some in shape.some:
        kept = []
        for names, term in found:
            both = strings.meet(names, some.names)
            if both is not None and not strings.is_empty(both):
                kept.append((both, terms.all_of((term, some.term))))
        if not kept or (len(shape.some) > 1 and len(kept) < len(found)):
            raise InexpressibleError("several members of unknown name must exist")
        found = kept
    return found


def _ended(whole: Members, tail: Expr) -> Expr:
    """`whole` with `tail` as its last member: of equal names, JSON readers keep the last."""
    if whole.least > 1 + sum(m.required for m in whole.members):
        raise InexpressibleError("minProperties beside members of unknown name that must exist")
    most = None if whole.most is None else whole.most - 1
    parts: list[Expr] = []
    if not any(member.required for member in whole.members):
        parts.append(tail)
    if most != 0:
        parts.append(Seq((replace(whole, least=1, most=most), whole.separator, tail)))
    return Alt(tuple(parts))


def _counted(whole: Members) -> Expr:
    """`whole`, such that its minimum holds even where a reader drops members of equal names."""
    required = sum(member.required for member in whole.members)
    if whole.least <= required:
        return replace(whole, least=0)
    if whole.extra is None or whole.least == 1:
        return whole
    if whole.least - 1 > len(whole.members):
        raise InexpressibleError(
            "members with free names might repeat one name, so that fewer than "
            f"{whole.least} remain"
        )
    # At most one of the members that count towards the minimum has a free name.
    named = replace(whole, extra=None)
    most = None if whole.most is None else whole.most - 1
    some_named = replace(named, least=whole.least - 1, most=most)
    again = None if whole.most is not None else whole.extra
    more = Members((Member(whole.extra),), whole.separator, again)
    return Alt((named, Seq((some_named, whole.separator, more))))


def _name_allowed(name: str, shape: ObjectShape, writer: Writer) -> bool:
    return all(any(one.contains(name) for one in writer.form(term).strings) for term in shape.names)


def _named_member(name: str, term: Term, writer: Writer) -> Expr:
    layout = writer.style.layout
    return Seq((_key(name, layout), writer.value(term)))


@lru_cache(maxsize=4096)
def _key(name: str, layout: Layout) -> Lex:
    """The key and the colon after it."""
    text = quoted_word(name)
    if layout.colons is not None:
        return Lex(automata.literals([text + colon for colon in layout.colons]), name)
    return Lex(automata.literal(text) + layout.colon, name)


def _any_member(classes: list[tuple[StringShape, Term]], writer: Writer) -> Expr | None:
    """A member whose name is in one of the classes."""
    layout, terms = writer.style.layout, writer.translator.terms
    by_term: dict[Term, Dfa] = {}
    for names, term in classes:
        if term is terms.never:
            continue
        key = _keys(names, layout)
        by_term[term] = by_term[term] | key if term in by_term else key
    parts = [
        Seq((Lex(key, "name"), writer.value(term)))
        for term, key in by_term.items()
        if not key.is_empty()
    ]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else Alt(tuple(parts))


@lru_cache(maxsize=1024)
def _keys(names: StringShape, layout: Layout) -> Dfa:
    """The keys in `names` with the colon after them."""
    excluded = _excluded(names)
    if excluded is None:
        return quoted(written(names)) + layout.colon
    if layout.colons is None or any(min(name, default="a") < " " for name in excluded):
        return quoted_except(frozenset(excluded)) + layout.colon
    texts = [quoted_word(name) + colon for name in excluded for colon in layout.colons]
    return automata.without(_any_key(layout), texts)


def _excluded(names: StringShape) -> tuple[str, ...] | None:
    """The words that are not in `names`, where these are all that it excludes."""
    if names.is_everything:
        return ()
    if names.words is not None or names.least or names.most is not None or len(names.atoms) != 1:
        return None
    (atom,) = names.atoms
    if atom.kind != "words" or atom.holds or not isinstance(atom.value, tuple):
        return None
    return atom.value


@lru_cache(maxsize=8)
def _any_key(layout: Layout) -> Dfa:
    """Any key with the colon after it."""
    return plain_strings() + layout.colon


def _name_classes(shape: ObjectShape, writer: Writer) -> list[tuple[StringShape, Term]]:
    """The names outside `known()`, split by what a member of that name must be."""
    terms = writer.translator.terms
    classes = [objects.outside(shape.known())]
    for term in shape.names:
        pieces = [strings.meet(a, b) for a in classes for b in writer.form(term).strings]
        classes = [piece for piece in pieces if piece is not None and not strings.is_empty(piece)]
    if any(clause.rest is terms.never and not clause.patterns for clause in shape.clauses):
        return []
    atoms = list(dict.fromkeys(a for clause in shape.clauses for a, _ in clause.patterns))
    if atoms:
        classes = [part for names in classes for part in _split(names, atoms, writer)]
    return [(names, _member_of_class(names, shape, writer)) for names in classes]


def _split(names: StringShape, atoms: list[Atom], writer: Writer) -> list[StringShape]:
    """`names` divided by which of the patterns they match."""
    if names.words is not None:
        return [StringShape(words=(word,)) for word in names.words]
    # Each class goes with its automaton, so that one more pattern costs one product.
    found = [(names, strings.language(names))]
    for atom in atoms:
        writer.translator.budget.spend(4 * len(found))
        parts = []
        for one, dfa in found:
            if atom in one.atoms or atom.negated() in one.atoms:
                parts.append((one, dfa))
                continue
            for side in (atom, atom.negated()):
                part = _part(dfa, side)
                if not part.is_empty():
                    parts.append((replace(one, atoms=one.atoms | {side}), part))
        found = parts
        if len(found) > _MOST_CLASSES:
            raise InexpressibleError(
                f"the patterns of names divide them into more than {_MOST_CLASSES} classes"
            )
    return [one for one, _ in found]


def _part(dfa: Dfa, side: Atom) -> Dfa:
    try:
        return dfa & side.positive() if side.holds else dfa - side.positive()
    except GrammarTooLargeError as error:
        raise InexpressibleError(f"the patterns of names are too large ({error})") from error


def _member_of_class(names: StringShape, shape: ObjectShape, writer: Writer) -> Term:
    """What members with these names must be: every pattern holds or fails for the whole class."""
    terms = writer.translator.terms
    wanted = []
    for clause in shape.clauses:
        found = [t for atom, t in clause.patterns if _holds(atom, names)]
        wanted += found or [clause.rest]
    return terms.all_of(wanted)


def _holds(atom: Atom, names: StringShape) -> bool:
    if names.words is not None:
        return atom.admits(names.words[0])
    return atom in names.atoms
