"""How arrays with `uniqueItems` are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

from guided.grammars import automata
from guided.grammars.automata import Dfa
from guided.grammars.ir import DISTINCT, SCARCE, Alt, Expr, Lex, Member, Members
from guided.grammars.json_schema.arrays import ArrayShape
from guided.grammars.json_schema.context import Writer
from guided.grammars.json_schema.number_text import number_text
from guided.grammars.json_schema.numbers import NumberShape
from guided.grammars.json_schema.plenty import Plenty
from guided.grammars.json_schema.quoting import quoted_word
from guided.grammars.json_schema.strings import InexpressibleError
from guided.grammars.json_schema.terms import Term


def distinct_anyway(shape: ArrayShape, writer: Writer) -> bool:
    """Whether no two positions can hold equal values."""
    terms = writer.translator.terms
    if shape.most is None or shape.most > len(shape.prefix) or shape.most > 16:
        return False
    return all(
        writer.translator.is_empty(terms.all_of(pair))
        for pair in combinations(shape.prefix[: shape.most], 2)
    )


def unique_items(shape: ArrayShape, writer: Writer) -> Expr | None:
    """Each value of a finite set at most once, in any order; None where that does not say it."""
    if shape.contains or any(term is not shape.rest for term in shape.prefix):
        return None
    texts = _finite_texts(shape.rest, writer)
    if texts is None:
        return None
    if len(texts) < shape.least:
        return Alt(())
    members = tuple(Member(Lex(text, "literal"), False) for text in texts)
    comma = writer.style.layout.comma
    return Members(members, comma, None, False, shape.least, shape.most)


def distinct_bracket(shape: ArrayShape, writer: Writer) -> Lex:
    """The bracket of an array whose items are kept apart while it is written.

    Raises InexpressibleError where the items might run out unforeseen.
    """
    opening, plenty = writer.style.layout.open_array, Plenty(writer.translator)
    firsts = max(len(shape.prefix), shape.least, 1)
    places = [shape.item(i) for i in range(len(shape.prefix) + 1)]
    few = [term for term in places if not plenty.has_enough(term, firsts)]
    for c in shape.contains:
        wanted = writer.translator.terms.all_of((c.term, shape.rest))
        if c.least and not plenty.has_enough(wanted, c.least):
            if c.least > 1:
                raise InexpressibleError("uniqueItems beside contains of few values", "uniqueItems")
            few.append(wanted)
    if not few:
        return replace(opening, name=DISTINCT)
    if not _can_differ(places, shape.least, writer):
        raise InexpressibleError("the items might run out", "uniqueItems")
    return replace(opening, name=SCARCE + _listed(few, len(places) + len(shape.contains), writer))


def _listed(few: Sequence[Term], count: int, writer: Writer) -> str:
    """The values of `few` as a JSON list. Of items that are all alike, only earlier ones count."""
    if count == 1:
        return "[]"
    found: dict[str, None] = {}
    for term in few:
        texts = _finite_texts(term, writer)
        if texts is None:
            raise InexpressibleError("the items might run out", "uniqueItems")
        found.update(((text.shortest() or b"").decode(), None) for text in texts)
    return f"[{', '.join(found)}]"


def _can_differ(places: Sequence[Term], least: int, writer: Writer) -> bool:
    """Whether the `least` first items are known to have different values to choose from."""
    if least > len(places):
        return False
    sets = [_finite_texts(term, writer) for term in places]
    plenty = Plenty(writer.translator)
    owner: dict[bytes, int] = {}
    for place, texts in enumerate(sets[:least]):
        if texts is None and not plenty.has_enough(places[place], len(places)):
            return False
        if texts is not None and not _matched(place, sets, owner, set()):
            return False
    return True


def _matched(
    place: int, sets: Sequence[list[Dfa] | None], owner: dict[bytes, int], tried: set[bytes]
) -> bool:
    """Whether `place` finds a value of its own, others moving where they can."""
    for text in sets[place] or ():
        key = text.shortest() or b""
        if key in tried:
            continue
        tried.add(key)
        if key not in owner or _matched(owner[key], sets, owner, tried):
            owner[key] = place
            return True
    return False


def _finite_texts(term: Term, writer: Writer) -> list[Dfa] | None:
    """The texts of each value of `term` where they are finitely many scalars."""
    form = writer.form(term)
    if form.arrays or form.objects or form.listed:
        return None
    texts = [b"null"] * form.null + [b"true"] * form.true + [b"false"] * form.false
    for shape in form.strings:
        if shape.words is None:
            return None
        texts += map(quoted_word, shape.words)
    values: list[Fraction] = []
    for number in form.numbers:
        if number.values is None:
            return None
        values += number.values
    pointed = writer.style.pointed
    return [
        *map(automata.literal, dict.fromkeys(texts)),
        *(number_text(NumberShape(values=(v,)), pointed) for v in dict.fromkeys(values)),
    ]
