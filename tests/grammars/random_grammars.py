"""Small random grammars, and their languages by brute force."""

from __future__ import annotations

import random
from functools import cache

from guided.grammars.automata import Dfa, byte_class, literal
from guided.grammars.ir import (
    Alt,
    Expr,
    GrammarSpec,
    Lex,
    Member,
    Members,
    Ref,
    Repeat,
    Seq,
)

Words = set[bytes]


def text(data: bytes) -> Lex:
    """A terminal with one word."""
    return Lex(literal(data))


def random_spec(rng: random.Random) -> GrammarSpec:
    """One to three rules over a, b, c and the separator."""
    names = ["A", "B", "C"][: rng.choice([1, 2, 3])]
    return GrammarSpec({name: _expression(rng, names, 3) for name in names}, "A")


def _expression(rng: random.Random, names: list[str], depth: int) -> Expr:
    kind = rng.random()
    if depth == 0 or kind < 0.3:
        word = bytes(rng.choice(b"abc") for _ in range(rng.choice([0, 1, 1, 2])))
        if rng.random() < 0.75:
            return text(word)
        return Lex((literal(word) | literal(rng.choice([b"b", b"ca"]))).repeat(rng.choice([0, 1])))
    if kind < 0.5:
        return Ref(rng.choice(names))

    def inner() -> Expr:
        return _expression(rng, names, depth - 1)

    if kind < 0.7:
        return Seq(tuple(inner() for _ in range(rng.choice([0, 1, 2, 3]))))
    if kind < 0.85:
        return Alt(tuple(inner() for _ in range(rng.choice([1, 2, 3]))))
    if kind < 0.92:
        return Repeat(inner(), rng.choice([0, 1, 2]), rng.choice([None, 2, 3]))
    members = tuple(Member(inner(), rng.random() < 0.5) for _ in range(rng.choice([1, 2, 3])))
    extra = _expression(rng, names, 0) if rng.random() < 0.4 else None
    bounds = rng.choice([0, 0, 1, 2]), rng.choice([None, None, 2])
    return Members(members, text(b","), extra, rng.random() < 0.5, *bounds)


def words_of(spec: GrammarSpec, longest: int) -> Words:
    """All words of up to `longest` bytes: the least fixed point of the rules."""
    language: dict[str, Words] = {name: set() for name in spec.rules}
    while True:
        grown = {
            name: language[name] | _words(expr, language, longest)
            for name, expr in spec.rules.items()
        }
        if grown == language:
            return language[spec.start]
        language = grown


@cache
def _short_words(dfa: Dfa, longest: int) -> Words:
    short = dfa & byte_class(set(b"abc,")).repeat(0, longest)
    return set(short.words(5000))


def _joined(left: Words, right: Words, longest: int) -> Words:
    return {a + b for a in left for b in right if len(a + b) <= longest}


def _words(expr: Expr, language: dict[str, Words], longest: int) -> Words:
    if isinstance(expr, Lex):
        return _short_words(expr.dfa, longest)
    if isinstance(expr, Ref):
        return language[expr.name]
    if isinstance(expr, Alt):
        return set().union(*(_words(part, language, longest) for part in expr.parts))
    if isinstance(expr, Seq):
        found = {b""}
        for part in expr.parts:
            found = _joined(found, _words(part, language, longest), longest)
        return found
    if isinstance(expr, Repeat):
        return _repeated(expr, _words(expr.part, language, longest), longest)
    if isinstance(expr, Members):
        return _members(expr, language, longest)
    raise TypeError(expr)


def _repeated(expr: Repeat, once: Words, longest: int) -> Words:
    found = {b""}
    for _ in range(expr.least):
        found = _joined(found, once, longest)
    total, count = set(found), expr.least
    while expr.most is None or count < expr.most:
        found = _joined(found, once, longest)
        count += 1
        if found <= total:
            break
        total |= found
    return total


def _members(expr: Members, language: dict[str, Words], longest: int) -> Words:
    """Every sequence of members, by trying all of them."""
    separators = _words(expr.separator, language, longest)
    members = [_words(member.expr, language, longest) for member in expr.members]
    extra = set() if expr.extra is None else _words(expr.extra, language, longest)
    found: Words = set()
    visited = set()

    def visit(before: bytes, seen: frozenset[int], passed: int, count: int) -> None:
        if len(before) > longest or (before, seen, passed, count) in visited:
            return
        visited.add((before, seen, passed, count))
        missing = [i for i, m in enumerate(expr.members) if m.required and i not in seen]
        if count >= expr.least and not missing:
            found.add(before)
        if expr.most is not None and count >= expr.most:
            return
        for i, words in enumerate(members):
            skipped = [j for j in missing if j < i]
            if i in seen or (expr.in_order and (i < passed or skipped)):
                continue
            follow(before, words, seen | {i}, i + 1, count)
        if not (expr.in_order and missing):
            follow(before, extra, seen, len(members), count)

    def follow(before: bytes, words: Words, seen: frozenset[int], passed: int, count: int) -> None:
        more = min(count + 1, 8)
        for word in words:
            for separator in separators if count else {b""}:
                visit(before + separator + word, seen, passed, more)

    visit(b"", frozenset(), 0, 0)
    return found
