"""How the arrays of a shape are written."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING

from guided.grammars import automata
from guided.grammars.ir import Alt, Expr, Lex, Member, Members, Ref, Repeat, Seq
from guided.grammars.json_schema.arrays import ArrayShape
from guided.grammars.json_schema.number_text import number_text
from guided.grammars.json_schema.numbers import NumberShape
from guided.grammars.json_schema.quoting import quoted_word
from guided.grammars.json_schema.strings import Inexpressible
from guided.grammars.json_schema.terms import Term

if TYPE_CHECKING:
    from guided.grammars.json_schema.emit import Emitter

_MOST_STATES = 512
EMPTY = Seq(())
NEVER = Alt(())


def array_expr(shape: ArrayShape, rule: str, emitter: Emitter) -> Expr:
    """The text of an array in `shape`; raises Inexpressible. `rule` names rules made for it."""
    layout = emitter.style.layout
    if shape.unique and not _distinct_anyway(shape, emitter):
        body = _unique_items(shape, emitter)
    elif shape.contains:
        body = _counted_items(shape, rule, emitter)
    else:
        body = _items(shape, emitter)
    return Seq((layout.open_array, body, layout.close_array))


def _items(shape: ArrayShape, emitter: Emitter) -> Expr:
    """Leading items one by one, then the rest."""
    comma = emitter.style.layout.comma
    count = len(shape.prefix)
    if shape.most == 0:
        return EMPTY
    rest = EMPTY
    if shape.most is None or shape.most > count:
        rest = _rest(shape, emitter)
    for index in reversed(range(count)):
        item = emitter.value(shape.prefix[index])
        parts = (item, rest) if index == 0 else (comma, item, rest)
        rest = Seq(tuple(part for part in parts if part is not EMPTY))
        if index >= shape.least:
            rest = Alt((EMPTY, rest))
    return rest


def _rest(shape: ArrayShape, emitter: Emitter) -> Expr:
    """The items after the leading ones."""
    comma = emitter.style.layout.comma
    item = emitter.value(shape.rest)
    count = len(shape.prefix)
    least = max(shape.least - count, 0)
    most = None if shape.most is None else shape.most - count
    if count:
        return Repeat(Seq((comma, item)), least, most)
    more = Repeat(Seq((comma, item)), max(least - 1, 0), None if most is None else most - 1)
    full = item if most == 1 else Seq((item, more))
    return full if least else Alt((EMPTY, full))


# -- uniqueItems ------------------------------------------------------------------------------------


def _distinct_anyway(shape: ArrayShape, emitter: Emitter) -> bool:
    """Whether no two positions can hold equal values."""
    terms = emitter.translator.terms
    if shape.most is None or shape.most > len(shape.prefix) or shape.most > 16:
        return False
    return all(
        emitter.translator.is_empty(terms.all_of(pair))
        for pair in combinations(shape.prefix[: shape.most], 2)
    )


def _unique_items(shape: ArrayShape, emitter: Emitter) -> Expr:
    """Each value of a finite set at most once, in any order."""
    if shape.contains or any(term is not shape.rest for term in shape.prefix):
        raise Inexpressible("uniqueItems beside contains or leading items", "uniqueItems")
    texts = _finite_texts(shape.rest, emitter)
    if texts is None:
        raise Inexpressible("only items from a finite list can be kept apart", "uniqueItems")
    if len(texts) < shape.least:
        return NEVER
    members = tuple(Member(Lex(automata.literal(text), "literal"), False) for text in texts)
    comma = emitter.style.layout.comma
    return Members(members, comma, None, False, shape.least, shape.most)


def _finite_texts(term: Term, emitter: Emitter) -> list[bytes] | None:
    """One text for each value of `term` where they are finitely many scalars."""
    form = emitter.form(term)
    if form.arrays or form.objects:
        return None
    texts = [b"null"] * form.null + [b"true"] * form.true + [b"false"] * form.false
    for shape in form.strings:
        if shape.words is None:
            return None
        texts += map(quoted_word, shape.words)
    for number in form.numbers:
        if number.values is None:
            return None
        for value in number.values:
            texts += number_text(NumberShape(values=(value,))).words(1)
    return list(dict.fromkeys(texts))


# -- contains ---------------------------------------------------------------------------------------


def _counted_items(shape: ArrayShape, rule: str, emitter: Emitter) -> Expr:
    """Items with a count of those in each `contains`: a rule for each state of the counts."""
    positions = _positions(shape)
    caps = [c.least if c.most is None else c.most for c in shape.contains]
    states = positions + 1
    for cap in caps:
        states *= cap + 1
    if states > _MOST_STATES:
        raise Inexpressible(f"counting the items needs {states} states", "contains")
    names: dict[tuple[int, ...], str] = {}
    queue: list[tuple[int, ...]] = []

    def name_of(state: tuple[int, ...]) -> str:
        if state not in names:
            names[state] = emitter.fresh(f"{rule} after {','.join(map(str, state))}")
            queue.append(state)
        return names[state]

    start = name_of((0,) * (1 + len(caps)))
    for state in queue:
        emitter.rules[names[state]] = _state_rule(state, shape, positions, caps, name_of, emitter)
    return Ref(start)


def _positions(shape: ArrayShape) -> int:
    """How many positions must be told apart."""
    if shape.most is not None:
        return shape.most
    return max([1, len(shape.prefix), shape.least, *(c.start for c in shape.contains)])


def _state_rule(state, shape, positions, caps, name_of, emitter) -> Expr:  # type: ignore[no-untyped-def]
    place, *counts = state
    enough = all(n >= c.least for n, c in zip(counts, shape.contains, strict=True))
    parts: list[Expr] = [EMPTY] if place >= shape.least and enough else []
    if shape.most is None or place < shape.most:
        comma = (emitter.style.layout.comma,) if place else ()
        for term, after in _next_items(place, counts, shape, caps, emitter):
            target = name_of((min(place + 1, positions), *after))
            parts.append(Seq((*comma, emitter.value(term), Ref(target))))
    return Alt(tuple(parts))


def _next_items(place, counts, shape, caps, emitter):  # type: ignore[no-untyped-def]
    """The kinds of item that may come next, each with the counts after it."""
    terms = emitter.translator.terms
    choices = []
    for c, n, cap in zip(shape.contains, counts, caps, strict=True):
        if place < c.start or (c.most is None and n >= c.least):
            choices.append([(terms.any, n)])
            continue
        # Without an upper limit an item may count or not: the counts only need to be reachable.
        outside = terms.any if c.most is None else terms.negation(c.term)
        choices.append([(outside, n)] + ([(c.term, n + 1)] if n < cap else []))
    for chosen in product(*choices):
        term = terms.all_of([shape.item(place), *(t for t, _ in chosen)])
        if term is not terms.never:
            yield term, tuple(n for _, n in chosen)
