"""The words of a terminal: the texts that Lark's `dynamic_complete` lexer takes for it.

The lexer matches with `re.match`, then again on every shorter beginning of the match. That finds
exactly the words of which `re.match` consumes all: if a shorter match were preferred on a longer
text, it would be preferred on the word too. These words form a regular language: run all threads of
the expression in the order in which `re` tries them, and drop what comes after one that matched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

from guided.errors import GrammarTooLargeError, RegexError
from guided.grammars.automata import Dfa
from guided.grammars.lark.character_dfa import CharacterDfa, byte_dfa
from guided.grammars.lark.charsets import CharSet
from guided.grammars.lark.ordered_nfa import (
    Again,
    Behind,
    Char,
    Choice,
    OrderedNfa,
    ordered_nfa,
)

MOST_STATES = 10_000


@lru_cache(maxsize=1024)
def terminal_dfa(pattern: str) -> Dfa:
    """The words of the terminal with the regular expression `pattern`.

    Raises RegexError for what is invalid or unsupported, GrammarTooLargeError above `MOST_STATES`.
    """
    return byte_dfa(_Determinization(pattern).run())


Threads = tuple[int, ...]  # Char nodes, the preferred one first


class _Determinization:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.nfa: OrderedNfa = ordered_nfa(pattern)
        self.classes, self.members = _partition(self.nfa.charsets)
        self._closures: dict[tuple[Threads, int], tuple[Threads, bool]] = {}
        self._looks_behind = any(isinstance(node, Behind) for node in self.nfa.nodes)

    def run(self) -> CharacterDfa:
        """The automaton over character classes; state 0 is the start."""
        states = {self._closure((self.nfa.start,), -1): 0}
        pending = list(states)
        edges: list[list[tuple[int, int]]] = []
        for threads, _ in pending:  # grows while it is read
            edges.append([])
            for character in range(len(self.classes)):
                state = self._step(threads, character)
                if state == ((), False):
                    continue
                if state not in states:
                    self._check(len(states))
                    states[state] = len(states)
                    pending.append(state)
                edges[-1].append((character, states[state]))
        return CharacterDfa(self.classes, edges, [matched for _, matched in pending])

    def _check(self, count: int) -> None:
        if count >= MOST_STATES:
            raise GrammarTooLargeError(
                f"the regular expression {self.pattern[:60]!r} needs more than {MOST_STATES} states"
            )

    def _step(self, threads: Threads, character: int) -> tuple[Threads, bool]:
        members = self.members[character]
        nodes = self.nfa.nodes
        seeds = tuple(
            node.following
            for node in map(nodes.__getitem__, threads)
            if isinstance(node, Char) and node.charset in members
        )
        # Without look-behind the closure does not depend on the character, and is shared.
        key = (seeds, character if self._looks_behind else 0)
        if key not in self._closures:
            self._closures[key] = self._closure(seeds, character)
        return self._closures[key]

    def _closure(self, seeds: Iterable[int], before: int) -> tuple[Threads, bool]:
        """The threads that wait for a character, and whether one has matched (which ends it)."""
        threads: list[int] = []
        visited: set[int] = set()
        stack = list(seeds)[::-1]
        while stack:
            number = stack.pop()
            node = self.nfa.nodes[number]
            if isinstance(node, Again):
                # A body that consumed nothing leaves its loop.
                stack.append(node.following if node.loop in visited else node.loop)
                continue
            if number in visited:
                continue
            visited.add(number)
            if isinstance(node, Char):
                threads.append(number)
            elif isinstance(node, Choice):
                stack.extend(reversed(node.choices))
            elif isinstance(node, Behind):
                if self._holds(node, before):
                    stack.append(node.following)
            else:
                return tuple(threads), True
        return tuple(threads), False

    def _holds(self, node: Behind, before: int) -> bool:
        if before < 0:
            raise RegexError("look-behind at the start is not supported", self.pattern, 0)
        return (node.charset in self.members[before]) != node.negated


def _partition(charsets: Sequence[CharSet]) -> tuple[list[CharSet], list[frozenset[int]]]:
    """Disjoint classes of code points that no set tells apart, and the sets each belongs to."""
    events: dict[int, list[int]] = {}
    for number, charset in enumerate(charsets):
        for low, high in charset:
            events.setdefault(low, []).append(number)
            events.setdefault(high + 1, []).append(number)
    inside: set[int] = set()
    classes: dict[frozenset[int], list[tuple[int, int]]] = {}
    points = sorted(events)
    for low, after in pairwise([*points, 0x110000]):
        inside.symmetric_difference_update(events[low])
        if inside:
            classes.setdefault(frozenset(inside), []).append((low, after - 1))
    return [tuple(ranges) for ranges in classes.values()], list(classes)
