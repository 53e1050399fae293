"""Members in free order, held against enumeration of all short texts."""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest

from guided.grammars.automata import literal
from guided.grammars.grammar import Grammar
from guided.grammars.ir import Alt, Expr, GrammarSpec, Lex, Member, Members, Ref, Seq

ALPHABET = "abx,"
LONGEST = 6


def word(text: str) -> Expr:
    return Lex(literal(text.encode()))


def grammar(
    required: tuple[bool, ...], extra: bool, least: int, most: int | None, *, by_rules: bool
) -> Grammar:
    """Members `a`, `bb` and extra members `x`; by rules or in place."""
    members = [word("a"), Seq((word("b"), word("b")))]
    rules: dict[str, Expr] = {"a": members[0], "b": members[1], "x": word("x")}
    if by_rules:
        members = [Ref("a"), Alt((Ref("b"), Seq((word("b"), Ref("a")))))]
    rules["start"] = Members(
        tuple(Member(one, needed) for one, needed in zip(members, required, strict=True)),
        word(","),
        (Ref("x") if by_rules else word("x")) if extra else None,
        False,
        least,
        most,
    )
    return Grammar(GrammarSpec(rules, "start"))


def belongs(
    text: str,
    required: tuple[bool, ...],
    extra: bool,
    least: int,
    most: int | None,
    by_rules: bool,
) -> bool:
    parts = text.split(",") if text else []
    second = ["bb", "ba"] if by_rules else ["bb"]
    kinds = [0 if p == "a" else 1 if p in second else 2 if p == "x" and extra else 3 for p in parts]
    if 3 in kinds or kinds.count(0) > 1 or kinds.count(1) > 1:
        return False
    if any(needed and kinds.count(i) == 0 for i, needed in enumerate(required)):
        return False
    return least <= len(parts) and (most is None or len(parts) <= most)


@cache
def short_texts() -> list[str]:
    return ["".join(t) for n in range(LONGEST + 1) for t in product(ALPHABET, repeat=n)]


CASES = [
    ((False, False), True, 0, None),
    ((True, False), False, 0, None),
    ((True, True), True, 0, 3),
    ((False, False), False, 1, None),
    ((False, True), True, 2, 2),
    ((False, False), True, 3, None),
    ((True, False), True, 0, 1),
]


@pytest.mark.parametrize("by_rules", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_free_order_is_every_order_and_knows_the_way_to_the_end(
    case: tuple[tuple[bool, ...], bool, int, int | None], by_rules: bool
) -> None:
    one = grammar(*case, by_rules=by_rules)
    words = [text for text in short_texts() if belongs(text, *case, by_rules)]
    assert [text for text in short_texts() if one.accepts(text.encode())] == words
    parser = one._open_parser()
    nearest: dict[str, int] = {}
    for text in words:
        for size in range(len(text) + 1):
            rest = len(text) - size
            nearest[text[:size]] = min(rest, nearest.get(text[:size], rest))
    for prefix, rest in nearest.items():
        config, taken = parser.walk(parser.start, prefix.encode())
        assert taken == len(prefix)
        # Completions of longer prefixes may lie beyond the texts that were enumerated.
        if len(prefix) + parser.distance(config) <= LONGEST:
            assert parser.distance(config) == rest, prefix


@pytest.mark.parametrize("case", [case for case in CASES if case[3] is not None])
def test_free_order_leads_into_no_dead_end(
    case: tuple[tuple[bool, ...], bool, int, int | None],
) -> None:
    one = grammar(*case, by_rules=False)
    words = [text for text in short_texts() if belongs(text, *case, False)]
    begun = {text[:size] for text in words for size in range(len(text) + 1)}
    for text in short_texts():
        assert (one.reach(text.encode()) == len(text)) is (text in begun), text
