"""Which words of a grammar's terminals lead an automaton from one state to another."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np
from numpy.typing import NDArray

from guided.errors import GrammarTooLargeError
from guided.grammars.automata import Dfa, Words, concatenation, literal, literals
from guided.grammars.counted import BODY, END, string_automaton
from guided.grammars.ir import FREE_TEXT, CountedString, Expr, Lex
from guided.grammars.rule_builder import RuleBuilder
from guided.kernels.memo_arrays import PLAIN

#: Entries of the table of a terminal's automaton and another one side by side.
MOST_ENTRIES = 1 << 23
#: Entries of the tables of all words that lead from one state to another.
MOST_PARTS = 1 << 25

Table = NDArray[np.int32]


class Crossings:
    """The terminals of a grammar beside `dfa`."""

    def __init__(self, builder: RuleBuilder, dfa: Dfa) -> None:
        self.builder = builder
        self.dfa = dfa
        self._dense: Table = dfa.transitions[:, dfa.classes]
        self._known: dict[tuple[int, int], dict[int, Expr]] = {}
        self._products: dict[Dfa, _Product] = {}
        self._entries = 0

    def of(self, terminal: int, state: int) -> dict[int, Expr]:
        """The words of `terminal` that lead on from `state`, by where they lead."""
        key = terminal, state
        if key not in self._known:
            self._known[key] = self._found(terminal, state)
        return self._known[key]

    def _found(self, terminal: int, state: int) -> dict[int, Expr]:
        dfa, least, most = self.builder.lexemes[terminal]
        name = FREE_TEXT if terminal in self.builder.free_text else ""
        if isinstance(dfa, Words):
            return {q: Lex(words, name) for q, words in self._led(dfa, state).items()}
        if dfa is not None:
            return {q: Lex(part, name) for q, part in self._parts(dfa, state).items()}
        plain = self._parts(_strings(0, None), state)
        if least == PLAIN:
            return {q: Lex(part) for q, part in plain.items()}
        top = None if most < 0 else most
        if len(plain) == 1:
            ((q, part),) = plain.items()
            if part == _strings(0, None):  # nothing is forbidden: only the length counts
                return {q: CountedString(least, top)}
        parts = self._parts(_strings(least, top), state)
        return {q: Lex(part) for q, part in parts.items()}

    def _led(self, words: Words, state: int) -> dict[int, Dfa]:
        """A few words, one after the other."""
        led: dict[int, list[bytes]] = defaultdict(list)
        for word in words.listed:
            at = state
            for byte in word:
                at = int(self._dense[at, byte])
                if at < 0:
                    break
            if at >= 0 and word:
                led[at].append(word)
        return {
            q: words if len(some) == len(words.listed) else literals(some)
            for q, some in led.items()
        }

    def _parts(self, dfa: Dfa, state: int) -> dict[int, Dfa]:
        if dfa not in self._products:
            self._products[dfa] = _Product(dfa, self.dfa)
        parts, entries = self._products[dfa].parts(state)
        self._entries += entries
        if self._entries > MOST_PARTS:
            raise GrammarTooLargeError(
                f"the terminals of the intersection need more than {MOST_PARTS} table entries"
            )
        return parts


class _Product:
    """Two automata side by side; a pair of states has the number `state * size + other state`."""

    def __init__(self, dfa: Dfa, other: Dfa) -> None:
        columns = np.stack([dfa.classes, other.classes])
        unique, classes = np.unique(columns, axis=1, return_inverse=True)
        if dfa.n_states * other.n_states * unique.shape[1] > MOST_ENTRIES:
            raise GrammarTooLargeError(
                f"a terminal of {dfa.n_states} states beside an automaton of {other.n_states} "
                f"needs more than {MOST_ENTRIES} table entries"
            )
        own = dfa.transitions[:, None, unique[0]].astype(np.int64)
        beside = other.transitions[None, :, unique[1]]
        self.size = other.n_states
        pairs = np.where((own < 0) | (beside < 0), -1, own * self.size + beside)
        self.table: Table = pairs.reshape(-1, unique.shape[1]).astype(np.int32)
        self.classes = classes.reshape(256).astype(np.uint8)
        self.accepting = np.repeat(dfa.accepting, self.size)

    def parts(self, state: int) -> tuple[dict[int, Dfa], int]:
        """The words, the empty one apart, that lead the other automaton on from `state`.

        By where they lead; and how many table entries that has taken.
        """
        reached = self._reached(state)
        final = reached[self.accepting[reached]]
        # The start is entered by nothing, so that the empty word is none of the words.
        number = np.full(len(self.table) + 1, -1, np.int32)
        number[reached] = np.arange(1, len(reached) + 1)
        rows = number[self.table[np.concatenate([[state], reached])]]
        found = {}
        for end in np.unique(final % self.size).tolist():
            accepting = np.zeros(len(rows), np.bool_)
            accepting[number[final[final % self.size == end]]] = True
            found[end] = Dfa(rows.copy(), self.classes, accepting)
        return found, rows.size * (1 + len(found))

    def _reached(self, state: int) -> NDArray[np.int64]:
        """The pairs that one byte or more lead to."""
        seen = np.zeros(len(self.table) + 1, np.bool_)
        seen[-1] = True  # stands for no pair
        front = np.array([state])
        while len(front):
            ahead = np.unique(self.table[front])
            front = ahead[~seen[ahead]]
            seen[front] = True
        return np.flatnonzero(seen[:-1])


def _strings(least: int, most: int | None) -> Dfa:
    """JSON string literals of so many code points."""
    quote = literal(b'"')
    return concatenation([quote, _character().repeat(max(least, 0), most), quote])


@cache
def _character() -> Dfa:
    """What stands for one code point in a JSON string literal."""
    table = string_automaton().transitions.copy()
    table[0] = table[BODY]
    table[0, ord('"')] = -1
    table[BODY] = -1
    accepting = np.zeros(len(table), np.bool_)
    accepting[BODY] = True
    table[END] = -1
    return Dfa(table, np.arange(256, dtype=np.uint8), accepting)
