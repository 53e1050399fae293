"""Random GBNF grammars, and what they mean by the plainest possible matcher.

An expression is a tuple: ("text", s), ("class", negated, ranges), ("any",), ("rule", name),
("seq", parts), ("alt", parts), ("times", part, least, most).
"""

from __future__ import annotations

import random
from typing import Any

Expression = tuple[Any, ...]
Rules = dict[str, Expression]

BEYOND = 10**6  # a place somewhere after the known text


class Matcher:
    """Where expressions can end in a text, by the least fixed point over all rules and places.

    With `open_ended` the text is followed by anything: then an end at the end of the text, or
    beyond it, says that the text can be continued to a word.
    """

    def __init__(self, rules: Rules, text: str, *, open_ended: bool = False) -> None:
        self.rules = rules
        self.text = text
        self.open_ended = open_ended
        self.known: dict[tuple[str, int], frozenset[int]] = {}
        before = None
        self.ends(("rule", "root"), 0)
        while before != self.known:
            before = dict(self.known)
            for name, at in before:
                self.known[name, at] = frozenset(self.ends(rules[name], at))

    def accepts(self) -> bool:
        return len(self.text) in self.known["root", 0]

    def can_go_on(self) -> bool:
        return any(end >= len(self.text) for end in self.known["root", 0])

    def ends(self, expression: Expression, at: int) -> set[int]:
        kind, *rest = expression
        if kind == "rule":
            return set(self.known.setdefault((rest[0], at), frozenset()))
        if kind == "seq":
            places = {at}
            for part in rest[0]:
                places = {end for place in places for end in self.ends(part, place)}
            return places
        if kind == "alt":
            return {end for part in rest[0] for end in self.ends(part, at)}
        if kind == "times":
            return self._times(*rest, at)
        if kind == "text":
            places = {at}
            for character in rest[0]:
                places = {e for p in places for e in self._one(character.__eq__, p)}
            return places
        return self._one(lambda character: in_class(expression, character), at)

    def _one(self, fits: Any, at: int) -> set[int]:
        if at >= len(self.text):
            return {BEYOND} if self.open_ended else set()
        return {at + 1} if fits(self.text[at]) else set()

    def _times(self, part: Expression, least: int, most: int | None, at: int) -> set[int]:
        places, found = {at}, {at} if least == 0 else set()
        for count in range(1, 50 if most is None else most + 1):
            places = {end for place in places for end in self.ends(part, place)}
            if count >= least:
                if most is None and places <= found:
                    break
                found |= places
        return found


def in_class(expression: Expression, character: str) -> bool:
    if expression[0] == "any":
        return True
    _, negated, ranges = expression
    return negated != any(low <= character <= high for low, high in ranges)


def random_rules(rng: random.Random) -> Rules:
    """One to four rules over a, b, c and é, recursive as it happens."""
    names = ["root", "x", "y-2", "Z"][: rng.randint(1, 4)]
    return {name: _expression(rng, names, 3) for name in names}


def _expression(rng: random.Random, names: list[str], depth: int) -> Expression:
    kind = rng.random()
    if depth == 0 or kind < 0.35:
        return _terminal(rng)
    if kind < 0.5:
        return "rule", rng.choice(names)

    def some(least: int) -> list[Expression]:
        return [_expression(rng, names, depth - 1) for _ in range(rng.randint(least, 3))]

    if kind < 0.7:
        return "seq", some(0)
    if kind < 0.85:
        return "alt", some(2)
    counts = rng.choice([(0, None), (1, None), (0, 1), (2, 2), (2, None), (1, 3), (0, 0)])
    return "times", _expression(rng, names, depth - 1), *counts


def _terminal(rng: random.Random) -> Expression:
    kind = rng.random()
    if kind < 0.6:
        return "text", "".join(rng.choice("abcé") for _ in range(rng.choice([0, 1, 1, 1, 2])))
    if kind < 0.7:
        return ("any",)
    ranges = [("a", "b"), ("c", "c"), ("b", "é"), ("a", "a")]
    return "class", rng.random() < 0.3, rng.sample(ranges, rng.randint(1, 2))


def written(rules: Rules, rng: random.Random) -> str:
    """The rules as GBNF, with white space, comments and escapes where they are allowed."""
    lines = []
    for name, expression in rules.items():
        space = rng.choice(["", "  ", " # all of it\n\t", "\r\n"])
        lines.append(f"{name} ::={space}{_written(expression, rng, 0)}{rng.choice(['', ' # end'])}")
    rng.shuffle(lines)
    return rng.choice(["", "# a grammar\n\n"]) + "\n".join(lines) + rng.choice(["", "\n", "\r\n"])


def _written(expression: Expression, rng: random.Random, depth: int) -> str:
    """Of binding strength: alternatives only on the outside and in parentheses."""
    kind, *rest = expression
    if kind == "alt":
        gap = rng.choice(["", " ", "\n", " # or\n"])
        return f"{_space(rng, depth)}|{gap}".join(_sequence(part, rng, depth) for part in rest[0])
    return _sequence(expression, rng, depth)


def _sequence(expression: Expression, rng: random.Random, depth: int) -> str:
    if expression[0] != "seq":
        return _item(expression, rng, depth)
    if not expression[1]:
        return "()"
    return " ".join(_item(part, rng, depth) + _space(rng, depth) for part in expression[1])


def _item(expression: Expression, rng: random.Random, depth: int) -> str:
    kind, *rest = expression
    if kind == "text":
        return '"' + "".join(_character(c, rng) for c in rest[0]) + '"'
    if kind == "any":
        return "."
    if kind == "class":
        negated, ranges = rest
        shown = (low if low == high else f"{low}-{high}" for low, high in ranges)
        inside = "".join(c if c == "-" else _character(c, rng) for part in shown for c in part)
        return f"[{'^' * negated}{inside}]"
    if kind == "rule":
        return str(rest[0])
    if kind == "times":
        part, least, most = rest
        return _item(part, rng, depth) + _space(rng, depth) + _suffix(least, most, rng)
    return f"({_space(rng, 1)}{_written(expression, rng, depth + 1)}{_space(rng, 1)})"


def _suffix(least: int, most: int | None, rng: random.Random) -> str:
    short = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most))
    if short and rng.random() < 0.7:
        return short
    if most == least:
        return f"{{ {least} }}"
    return f"{{{least}, {'' if most is None else most}}}"


def _character(character: str, rng: random.Random) -> str:
    plain = [character] * 5
    code = ord(character)
    return rng.choice([*plain, f"\\x{code:02x}", f"\\u{code:04X}", f"\\U{code:08x}"])


def _space(rng: random.Random, depth: int) -> str:
    return rng.choice(["", "", " ", "\t"] + (["\n  ", " # why\n"] if depth else []))


def random_word(rules: Rules, rng: random.Random) -> str | None:
    """Some word, None where the dice led too deep."""
    return _word(("rule", "root"), rules, rng, 12)


def _word(expression: Expression, rules: Rules, rng: random.Random, depth: int) -> str | None:
    kind, *rest = expression
    if depth == 0:
        return None
    if kind == "text":
        return str(rest[0])
    if kind in ("any", "class"):
        return rng.choice([c for c in "abcdé" if in_class(expression, c)] or [None])
    if kind == "rule":
        return _word(rules[rest[0]], rules, rng, depth - 1)
    if kind == "alt":
        return _word(rng.choice(rest[0]), rules, rng, depth)
    if kind == "times":
        part, least, most = rest
        parts = [part] * rng.randint(least, least + 2 if most is None else most)
    else:
        parts = rest[0]
    words = [_word(part, rules, rng, depth) for part in parts]
    return None if None in words else "".join(w for w in words if w is not None)
