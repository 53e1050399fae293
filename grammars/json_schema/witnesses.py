"""Members of unknown name that must exist: who they are, and where they stand.

A member that is asked for by its name alone may stand anywhere: whatever follows, the name is
there. Where its value matters, no later member may have its name and another value, as JSON readers
keep the last of equal names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from guided.grammars.ir import Alt, Expr, Members, Repeat, Seq
from guided.grammars.json_schema import strings
from guided.grammars.json_schema.objects import Some
from guided.grammars.json_schema.strings import InexpressibleError, StringShape
from guided.grammars.json_schema.terms import Term, Terms

Classes = list[tuple[StringShape, Term]]
Group = tuple[Some, ...]


def partitions(somes: Sequence[Some]) -> Iterator[list[Group]]:
    """All ways to divide `somes` into groups, each of which one member meets."""
    if not somes:
        yield []
        return
    first, *others = somes
    for groups in partitions(others):
        yield [(first,), *groups]
        for index, group in enumerate(groups):
            yield [*groups[:index], (first, *group), *groups[index + 1 :]]


def meeting(
    classes: Classes, group: Group, terms: Terms, is_empty: Callable[[Term], bool]
) -> Classes:
    """The members that meet every one of `group`."""
    for some in group:
        classes = _possible(
            (
                (strings.meet(names, some.names), terms.all_of((term, some.term)))
                for names, term in classes
            ),
            is_empty,
        )
    return classes


def harmless(
    classes: Classes, group: Group, terms: Terms, is_empty: Callable[[Term], bool]
) -> Classes:
    """The members that, whatever their name, leave members that are there to meet `group`."""
    for some in group:
        free = strings.complement(some.names)
        classes = _possible(
            (
                found
                for names, term in classes
                for found in (
                    (strings.meet(names, some.names), terms.all_of((term, some.term))),
                    *((strings.meet(names, other), term) for other in free),
                )
            ),
            is_empty,
        )
    return classes


def _possible(
    found: Iterable[tuple[StringShape | None, Term]], is_empty: Callable[[Term], bool]
) -> Classes:
    return [
        (names, term)
        for names, term in found
        if names is not None and not strings.is_empty(names) and not is_empty(term)
    ]


def with_witnesses(whole: Members, count: int, behind: int) -> Members:
    """`whole`, whose last `count` members have free names, before `behind` more of these.

    Raises InexpressibleError where equal names might leave too few members.
    """
    if not count + behind:
        return whole
    required = sum(member.required for member in whole.members)
    if whole.least > required - count + 1:
        raise InexpressibleError("minProperties beside members of unknown name that must exist")
    most = None if whole.most is None else whole.most - behind
    return replace(whole, least=0, most=most)


def followed(whole: Members, behind: Sequence[tuple[Expr, Expr | None]]) -> Expr:
    """`whole` followed by the members `behind`, each with those that may follow it."""
    if not behind:
        return whole
    comma = whole.separator
    parts: list[Expr] = []
    for index, (member, more) in enumerate(behind):
        parts += [comma, member] if index else [member]
        if more is not None and whole.most is None:
            parts.append(Repeat(Seq((comma, more))))
    tail = Seq(tuple(parts))
    found: list[Expr] = []
    if not any(member.required for member in whole.members):
        found.append(tail)
    if whole.most != 0:
        found.append(Seq((replace(whole, least=1), comma, tail)))
    return Alt(tuple(found))
