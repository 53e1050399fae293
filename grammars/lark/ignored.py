"""Puts ignored terminals before every terminal and at the end, where Lark would skip them.

Lark skips an ignored terminal wherever a terminal is expected, and after the whole text. It always
skips the longest match: with /a+/ ignored, "aab" is not "a" skipped and then "ab". So the skipped
text decides what may come next, and a terminal with all that may be skipped before it is one
regular language: run the automata of the ignored terminals and of the terminal side by side, and
let every skipped match carry a *watch* on what follows, which ends the reading if the match could
have been longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from guided.errors import GrammarTooLargeError
from guided.grammars.automata import Dfa

MOST_STATES = 20_000

Watch = tuple[int, int]  # number of an ignored automaton and its state
Watches = frozenset[Watch]
Reading = tuple[int, int, Watches]  # number of an automaton, its state, watches on what follows
NOTHING: Watches = frozenset()


class Skipper:
    """Terminals with ignored text before them. `ignored` must not accept the empty string."""

    def __init__(self, ignored: Sequence[Dfa]) -> None:
        self.ignored = tuple(dict.fromkeys(ignored))
        self._known: dict[tuple[Dfa, Watches], dict[Watches, Dfa]] = {}

    def before(self, terminal: Dfa, watches: Watches = NOTHING) -> dict[Watches, Dfa]:
        """The words of `terminal` with what may be skipped before them, by the watches that remain.

        `watches` are those that hold where the text begins.

        Raises GrammarTooLargeError above `MOST_STATES` states.
        """
        key = terminal, watches
        if key not in self._known:
            self._known[key] = _Product((terminal, *self.ignored), watches).run()
        return self._known[key]


class _Product:
    """Automaton 0 is the terminal's, the others are those of the ignored terminals."""

    def __init__(self, automata: tuple[Dfa, ...], watches: Watches) -> None:
        columns = np.stack([dfa.classes for dfa in automata])
        unique, self.classes = np.unique(columns, axis=1, return_inverse=True)
        self.steps = [
            dfa.transitions[:, unique[number]].tolist() for number, dfa in enumerate(automata)
        ]
        self.accepting = [dfa.accepting.tolist() for dfa in automata]
        self.goes_on = [(dfa.transitions.max(axis=1) >= 0).tolist() for dfa in automata]
        self.n_classes = unique.shape[1]
        self.start = frozenset(self._begin(watches))

    def run(self) -> dict[Watches, Dfa]:
        states = {self.start: 0}
        pending = [self.start]
        rows: list[list[int]] = []
        for readings in pending:  # grows while it is read
            row = []
            for column in range(self.n_classes):
                after = frozenset(self._advance(readings, column))
                if after not in states:
                    if len(states) >= MOST_STATES:
                        raise GrammarTooLargeError(
                            f"a terminal after ignored text needs more than {MOST_STATES} states"
                        )
                    states[after] = len(states)
                    pending.append(after)
                row.append(states[after])
            rows.append(row)
        table = np.array(rows, np.int32)[:, self.classes.reshape(-1)]
        return self._by_watches(table, [self._ends(readings) for readings in pending])

    def _begin(self, watches: Watches) -> Iterator[Reading]:
        return ((number, 0, watches) for number in range(len(self.steps)))

    def _advance(self, readings: Iterable[Reading], column: int) -> Iterator[Reading]:
        for number, state, watches in readings:
            after = self.steps[number][state][column]
            remaining = self._watched(watches, column) if after >= 0 else None
            if remaining is None:
                continue
            yield number, after, remaining
            if number and self.accepting[number][after]:
                more = {(number, after)} if self.goes_on[number][after] else NOTHING
                yield from self._begin(remaining | more)

    def _watched(self, watches: Watches, column: int) -> Watches | None:
        """The watches one byte later; None if a skipped match could have been longer."""
        remaining = set()
        for number, state in watches:
            after = self.steps[number][state][column]
            if after >= 0:
                if self.accepting[number][after]:
                    return None
                remaining.add((number, after))
        return frozenset(remaining)

    def _ends(self, readings: Iterable[Reading]) -> set[Watches]:
        ends = {w for number, state, w in readings if number == 0 and self.accepting[0][state]}
        # A reading with fewer watches allows all that one with more of them allows.
        return {end for end in ends if not any(other < end for other in ends)}

    def _by_watches(
        self, table: NDArray[np.int32], ends: Sequence[set[Watches]]
    ) -> dict[Watches, Dfa]:
        classes = np.arange(256, dtype=np.uint8)
        return {
            watches: Dfa(table, classes, np.array([watches in end for end in ends]))
            for watches in dict.fromkeys(watches for end in ends for watches in end)
        }
