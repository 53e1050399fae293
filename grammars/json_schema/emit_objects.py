"""How the objects of a shape are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import permutations

from guided.errors import GrammarTooLargeError
from guided.grammars import automata
from guided.grammars.automata import Dfa
from guided.grammars.ir import Alt, Expr, Lex, Member, Members, Seq
from guided.grammars.json_schema import objects, strings
from guided.grammars.json_schema.context import Writer
from guided.grammars.json_schema.layout import Layout
from guided.grammars.json_schema.objects import Clause, ObjectShape
from guided.grammars.json_schema.quoting import plain_strings, quoted, quoted_except, quoted_word
from guided.grammars.json_schema.readings import written
from guided.grammars.json_schema.strings import Atom, InexpressibleError, StringShape
from guided.grammars.json_schema.terms import Term, Terms
from guided.grammars.json_schema.witnesses import (
    Group,
    followed,
    harmless,
    meeting,
    partitions,
    with_witnesses,
)

_MOST_CLASSES = 64
_MOST_NAMES = 64
_MOST_WITNESSES = 4
_MOST_OPTIONAL = 12
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


def _bodies(shape: ObjectShape, writer: Writer) -> Iterator[Expr]:
    """The members of an object whose `some` speaks of unknown names only, as alternatives."""
    if not shape.some:
        yield _body(shape, (), (), writer)
        return
    if len(shape.some) > _MOST_WITNESSES:
        raise InexpressibleError(f"more than {_MOST_WITNESSES} members of unknown name must exist")
    free = {some for some in shape.some if _allows_all(some.term, writer)}
    found, left_out = False, None
    for groups in partitions(shape.some):
        anywhere = [group for group in groups if free.issuperset(group)]
        for behind in permutations(group for group in groups if group not in anywhere):
            try:
                body = _body(shape, anywhere, behind, writer)
            except InexpressibleError as error:
                left_out = error
            else:
                found = found or body is not NEVER
                yield body
    if left_out is not None and not found:
        raise left_out


def _allows_all(term: Term, writer: Writer) -> bool:
    """Whether `term` is known to allow every value."""
    terms = writer.translator.terms
    return term is terms.any or writer.translator.is_empty(terms.negation(term))


def _body(
    shape: ObjectShape, anywhere: Sequence[Group], behind: Sequence[Group], writer: Writer
) -> Expr:
    """The members of an object, with one for each group `anywhere`, and last those `behind`."""
    terms = writer.translator.terms
    known = shape.known()
    if shape.names:
        known = [name for name in known if _name_allowed(name, shape, writer)]
    required = frozenset(shape.required)
    if not required.issubset(known):
        return NEVER
    found = [(name, shape.member(name, terms)) for name in known]
    members = [
        Member(_named_member(name, term, writer), name in required)
        for name, term in found
        if term is not terms.never
    ]
    classes = _name_classes(shape, writer)
    extra = _any_member(classes, writer)
    one_kind = len(members) + (extra is not None) <= 1
    in_order = one_kind or (writer.style.in_order and _has_order(shape, found, terms))
    is_empty = writer.translator.is_empty
    for group in anywhere:
        witness = _any_member(meeting(classes, group, terms, is_empty), writer)
        if witness is None:
            return NEVER
        members.append(Member(witness))
    whole = Members(
        tuple(members),
        writer.style.layout.comma,
        extra,
        in_order and not anywhere,
        shape.least,
        shape.most,
    )
    whole = with_witnesses(whole, len(anywhere), len(behind))
    last = []
    every = classes
    for group in behind:
        witness = _any_member(meeting(classes, group, terms, is_empty), writer)
        if witness is None:
            if meeting(every, group, terms, is_empty):
                raise InexpressibleError("members of unknown name that exclude one another")
            return NEVER
        classes = harmless(classes, group, terms, is_empty)
        last.append((witness, _any_member(classes, writer)))
    return followed(whole, last) if last else _counted(whole, writer)


def _has_order(shape: ObjectShape, found: list[tuple[str, Term]], terms: Terms) -> bool:
    """Whether one `properties` holds all members, so that the schema gives their order.

    Where several schemas each name some, or names are only required, no order is given.
    """
    names = {name for name, term in found if term is not terms.never}
    listed = [clause.named.keys() for clause in shape.clauses if clause.evaluates and clause.named]
    if not listed:
        return len(names) < 2
    largest = max(listed, key=len)
    return all(one <= largest for one in listed) and largest >= names


def _counted(whole: Members, writer: Writer) -> Expr:
    """`whole`, such that its minimum holds even where a reader drops members of equal names."""
    required = sum(member.required for member in whole.members)
    if whole.least <= required:
        return replace(whole, least=0) if whole.least else whole
    if whole.extra is None or whole.least == 1:
        return whole
    if whole.least - 1 > len(whole.members):
        raise InexpressibleError(
            "members with free names might repeat one name, so that fewer than "
            f"{whole.least} remain"
        )
    # At most one of the members that count towards the minimum has a free name.
    writer.left_out = "members with free names might repeat one name"
    named = replace(whole, extra=None)
    if not whole.in_order:
        mixed = _with_one_free(whole, whole.extra, whole.least - 1 - required)
        if mixed is not None:
            return Alt((named, *mixed))
    most = None if whole.most is None else whole.most - 1
    some_named = replace(named, least=whole.least - 1, most=most)
    again = None if whole.most is not None else whole.extra
    more = Members((Member(whole.extra),), whole.separator, again)
    return Alt((named, Seq((some_named, whole.separator, more))))


def _with_one_free(whole: Members, extra: Expr, count: int) -> list[Expr] | None:
    """`whole` with a member of free name and at least `count` that need not be there, in any order.

    None where that would take many alternatives.
    """
    members = (*whole.members, Member(extra))
    if count <= 0:
        return [replace(whole, members=members, least=0)]
    optional = [index for index, member in enumerate(members) if not member.required]
    if count > 1 or len(optional) > _MOST_OPTIONAL:
        return None
    return [
        replace(
            whole,
            members=tuple(
                Member(member.expr, member.required or index == chosen)
                for index, member in enumerate(members)
            ),
            least=0,
        )
        for chosen in optional
    ]


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
        return Lex(automata.Words(tuple([text + colon for colon in layout.colons])), "key")
    return Lex(automata.literal(text) + layout.colon, "key")


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
    is_closed = any(clause.rest is terms.never and not clause.patterns for clause in shape.clauses)
    if is_closed and not shape.names:
        return []
    classes = [objects.outside(shape.known())]
    for term in shape.names:
        pieces = [strings.meet(a, b) for a in classes for b in writer.form(term).strings]
        classes = [piece for piece in pieces if piece is not None and not strings.is_empty(piece)]
    if is_closed:
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
            for side, part in _sides(dfa, atom):
                if not part.is_empty():
                    parts.append((replace(one, atoms=one.atoms | {side}), part))
        found = parts
        if len(found) > _MOST_CLASSES:
            raise InexpressibleError(
                f"the patterns of names divide them into more than {_MOST_CLASSES} classes"
            )
    return [one for one, _ in found]


def _sides(dfa: Dfa, atom: Atom) -> list[tuple[Atom, Dfa]]:
    """The words of `dfa` in and outside of the atom, with what tells them."""
    holding, failing = (atom, atom.negated()) if atom.holds else (atom.negated(), atom)
    try:
        inside, outside = holding.positive(), failing.positive()
        if not automata.intersects(dfa, outside):
            return [(failing, dfa)]
        return [(holding, dfa & inside), (failing, dfa - outside)]
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
