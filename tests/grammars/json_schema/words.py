"""Random words of a grammar specification, to hold against a validator."""

from __future__ import annotations

import random

import numpy as np

from guided.grammars.automata import Dfa
from guided.grammars.ir import (
    Alt,
    CountedString,
    Expr,
    GrammarSpec,
    Lex,
    Members,
    Ref,
    Repeat,
    Seq,
)

PIECES = ["a", "b", "é", "😀", "\\n", "\\u0041", '\\"', "\\ud83d\\ude00", " ", "\\/"]
FAR = 10**6


class Sampler:
    """Draws words; beyond a depth it takes the way that ends soonest."""

    def __init__(self, spec: GrammarSpec, rng: random.Random) -> None:
        self.spec = spec
        self.rng = rng
        self.heights = self._heights()

    def _heights(self) -> dict[str, int]:
        heights = dict.fromkeys(self.spec.rules, FAR)
        changed = True
        while changed:
            changed = False
            for name, expr in self.spec.rules.items():
                found = self._height(expr, heights) + 1
                if found < heights[name]:
                    heights[name], changed = found, True
        return heights

    def _height(self, expr: Expr, heights: dict[str, int]) -> int:
        if isinstance(expr, Ref):
            return heights[expr.name]
        if isinstance(expr, Seq):
            return max((self._height(p, heights) for p in expr.parts), default=0)
        if isinstance(expr, Alt):
            return min((self._height(p, heights) for p in expr.parts), default=FAR)
        if isinstance(expr, Repeat):
            return self._height(expr.part, heights) if expr.least else 0
        if isinstance(expr, Members):
            found = [self._height(m.expr, heights) for m in expr.members if m.required]
            return max(found, default=0)
        return 0

    def word(self) -> bytes:
        """One word of the grammar."""
        return self._draw(Ref(self.spec.start), 0)

    def _draw(self, expr: Expr, depth: int) -> bytes:
        if isinstance(expr, Ref):
            return self._draw(self.spec.rules[expr.name], depth + 1)
        if isinstance(expr, Lex):
            return walk(expr.dfa, self.rng)
        if isinstance(expr, CountedString):
            return self._string(expr)
        if isinstance(expr, Seq):
            return b"".join(self._draw(part, depth) for part in expr.parts)
        if isinstance(expr, Alt):
            return self._draw(self._choice(expr, depth), depth)
        if isinstance(expr, Repeat):
            most = expr.least + 2 if expr.most is None else min(expr.most, expr.least + 2)
            count = expr.least if depth > 6 else self.rng.randint(expr.least, most)
            return b"".join(self._draw(expr.part, depth) for _ in range(count))
        assert isinstance(expr, Members)
        return self._members(expr, depth)

    def _choice(self, expr: Alt, depth: int) -> Expr:
        if depth > 6:
            return min(expr.parts, key=lambda part: self._height(part, self.heights))
        return self.rng.choice(expr.parts)

    def _members(self, expr: Members, depth: int) -> bytes:
        chosen = [m.expr for m in expr.members if m.required or self._optional(m.expr, depth)]
        least = max(expr.least, 0)
        rest = [m.expr for m in expr.members if m.expr not in chosen]
        self.rng.shuffle(rest)
        most = FAR if expr.most is None else expr.most
        needed = sum(m.required for m in expr.members)
        while len(chosen) > max(most, needed):
            chosen = [m.expr for m in expr.members if m.required][:needed]
        extras: list[Expr] = []
        if expr.extra is not None and depth < 4:
            room = most - len(chosen)
            extras = [expr.extra] * min(room, self.rng.randint(0, 2))
        while len(chosen) + len(extras) < least:
            if rest:
                chosen.append(rest.pop())
            else:
                assert expr.extra is not None
                extras.append(expr.extra)
        if expr.in_order:
            chosen = [m.expr for m in expr.members if m.expr in chosen]
        parts = chosen + extras
        if not expr.in_order:
            self.rng.shuffle(parts)
        words = [self._draw(part, depth) for part in parts]
        separated = [self._draw(expr.separator, depth) + word for word in words[1:]]
        return b"".join(words[:1] + separated)

    def _optional(self, expr: Expr, depth: int) -> bool:
        if self._height(expr, self.heights) >= FAR or depth > 6:
            return False
        return self.rng.random() < 0.5

    def _string(self, expr: CountedString) -> bytes:
        most = expr.least + 3 if expr.most is None else min(expr.most, expr.least + 3)
        count = self.rng.randint(expr.least, most)
        return ('"' + "".join(self.rng.choices(PIECES, k=count)) + '"').encode()


def walk(dfa: Dfa, rng: random.Random) -> bytes:
    """A random word of an automaton: some steps at random, then the shortest way out."""
    state, word = 0, bytearray()
    stop = rng.choice([0, 3, 6, 12, 30])
    while True:
        if dfa.accepting[state] and (len(word) >= stop or rng.random() < 0.15):
            return bytes(word)
        row = dfa.transitions[state][dfa.classes]
        choices = np.flatnonzero(row >= 0)
        if not len(choices):
            return bytes(word)
        if len(word) >= stop:
            choices = choices[dfa.distance[row[choices]] == dfa.distance[state] - 1]
        byte = int(rng.choice(list(choices)))
        word.append(byte)
        state = int(row[byte])
