"""Shortest words of a grammar in a regular language, without building the product grammar.

Bottom-up search over triples (p, q, r): from rule state q to the end of its rule, some text leads
the automaton from p to r. Triples are found in the order of the length of the shortest such text
(Knuth, 1977, generalises Dijkstra's algorithm to grammars), so that the first time the whole text
is derived it is a shortest one. Only triples that derive something are ever looked at
(arXiv 2508.10111).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field

from guided.grammars.canvas.nfa import ByteNfa
from guided.kernels.lexemes import lexeme_fact, lexeme_step
from guided.kernels.memo_arrays import (
    ACCEPT,
    BEGIN,
    END,
    EPSILON,
    FINAL,
    START,
    SYMBOL,
    TARGET,
    Rules,
)

Triple = tuple[int, int, int]
#: How a triple came about: a text, then up to two triples.
Origin = tuple[bytes, tuple[Triple, ...]]


class OutOfSteps(Exception):  # noqa: N818 - not an error: the answer is "unknown"
    """The search took more steps than allowed."""


def shortest_word(rules: Rules, nfa: ByteNfa, most_steps: int | None = None) -> bytes | None:
    """A shortest text of the grammar that is a word of `nfa`, None where there is none.

    The rule states of `rules` must all be expanded.

    Raises:
        OutOfSteps: more than `most_steps` triples and lexer states were looked at.
    """
    return _Search(rules, nfa, most_steps).run()


@dataclass
class _Search:
    rules: Rules
    nfa: ByteNfa
    most_steps: int | None
    queue: list[tuple[int, int, Triple, Origin]] = field(default_factory=list)
    done: dict[Triple, tuple[int, Origin]] = field(default_factory=dict)
    from_left: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    steps: int = 0

    def run(self) -> bytes | None:
        self._index_edges()
        self._begin()
        goal = int(self.rules.rule[0, START])
        while self.queue:
            length, _, triple, origin = heapq.heappop(self.queue)
            if triple in self.done:
                continue
            self.done[triple] = length, origin
            p, q, r = triple
            if q == goal and p in self.nfa.starts and r in self.nfa.accepting:
                return self._text(triple)
            self.from_left[p, q].append(r)
            self._extend(length, triple)
        return None

    def _index_edges(self) -> None:
        # Edges by target, terminal edges apart; calls also by the rule state they begin with.
        state, edge, rule = self.rules.state, self.rules.edge, self.rules.rule
        self.scans: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.empties: dict[int, list[int]] = defaultdict(list)
        self.calls_to: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.calls_of: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for q in range(len(state)):
            for e in range(state[q, BEGIN], state[q, END]):
                symbol, target = int(edge[e, SYMBOL]), int(edge[e, TARGET])
                if symbol == EPSILON:
                    self.empties[target].append(q)
                elif symbol >= 0:
                    self.scans[target].append((symbol, q))
                else:
                    start = int(rule[-1 - symbol, START])
                    self.calls_to[target].append((start, q))
                    self.calls_of[start].append((target, q))
        self.spans: dict[tuple[int, int], list[tuple[int, bytes]]] = {}
        lexemes = {symbol for found in self.scans.values() for symbol, _ in found}
        for lex in lexemes:
            for p in range(self.nfa.n_states):
                for r, text in self._lexeme_words(lex, p).items():
                    self.spans.setdefault((lex, r), []).append((p, text))

    def _lexeme_words(self, lex: int, p: int) -> dict[int, bytes]:
        """A shortest word of terminal `lex` from `p` to every state that one leads to."""
        found: dict[int, bytes] = {}
        layer = {(p, 0): b""}
        seen = set(layer)
        while layer:
            following: dict[tuple[int, int], bytes] = {}
            for (at, lexer), text in layer.items():
                for label, target in self.nfa.leaving[at]:
                    for byte in label:
                        self._count()
                        after = int(lexeme_step.py_func(self.rules, lex, lexer, byte))
                        if after < 0 or (target, after) in seen:
                            continue
                        seen.add((target, after))
                        following[target, after] = text + bytes((byte,))
                        fact = lexeme_fact.py_func(self.rules, lex, after)
                        if self.rules.fact[fact, ACCEPT]:
                            found.setdefault(target, following[target, after])
            layer = following
        return found

    def _begin(self) -> None:
        for q in range(len(self.rules.state)):
            if self.rules.state[q, FINAL]:
                for p in range(self.nfa.n_states):
                    self._add(0, (p, q, p), (b"", ()))

    def _add(self, length: int, triple: Triple, origin: Origin) -> None:
        if triple not in self.done:
            self._count()
            heapq.heappush(self.queue, (length, self.steps, triple, origin))

    def _count(self) -> None:
        self.steps += 1
        if self.most_steps is not None and self.steps > self.most_steps:
            raise OutOfSteps

    def _extend(self, length: int, triple: Triple) -> None:
        p, q, r = triple
        for before in self.empties[q]:
            self._add(length, (p, before, r), (b"", (triple,)))
        for lex, before in self.scans[q]:
            for left, text in self.spans.get((lex, p), ()):
                self._add(length + len(text), (left, before, r), (text, (triple,)))
        # The triple is what follows a call ...
        for start, before in self.calls_to[q]:
            for left in range(self.nfa.n_states):
                called = (left, start, p)
                if called in self.done:
                    total = self.done[called][0] + length
                    self._add(total, (left, before, r), (b"", (called, triple)))
        # ... or what is called.
        for onward, before in self.calls_of[q]:
            for right in self.from_left[r, onward]:
                rest = (r, onward, right)
                total = length + self.done[rest][0]
                self._add(total, (p, before, right), (b"", (triple, rest)))

    def _text(self, goal: Triple) -> bytes:
        pieces: list[bytes] = []
        stack = [goal]
        while stack:
            text, parts = self.done[stack.pop()][1]
            pieces.append(text)
            stack += reversed(parts)
        return b"".join(pieces)
