"""The tables of all terminals of a grammar, pooled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.grammars.automata import Dfa, Others, Words
from guided.grammars.terminal_tables import Automaton, restricted, terminal_tables
from guided.kernels.automata_words import add_word_tables
from guided.kernels.memo_arrays import DFA, FARTHEST, FIRST, LEAST, MOST, NEAREST, OFFSET, WIDTH

Lexeme = tuple[Dfa | None, int, int]
#: Tables in the order of the kernel: dfa, columns, trans, fact, live.
Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
#: Entries of tables up to which automata that are used together are kept together.
_KEPT_ENTRIES = 1 << 15


def lexeme_tables(
    lexemes: Sequence[Lexeme], alphabet: frozenset[int] | None = None
) -> dict[str, NDArray[Any]]:
    """The arrays of `Rules` that describe terminals: lexeme, dfa, columns, trans, fact, live.

    With an `alphabet` only the words over these bytes are kept.
    """
    pool = _Pool()
    for dfa, _, _ in lexemes:
        pool.add(dfa, alphabet)
    numbers, (dfas, columns, trans, fact, live) = pool.arrays()
    lexeme = np.zeros((len(numbers), 4), np.int32)
    lexeme[:, DFA] = numbers
    lexeme[:, LEAST] = [least for _, least, _ in lexemes]
    lexeme[:, MOST] = [most for _, _, most in lexemes]
    first = dfas[:-1, FIRST]
    farthest = np.maximum.reduceat(fact[:, NEAREST], first) if len(first) else first
    lexeme[:, FARTHEST] = farthest[lexeme[:, DFA]] + np.maximum(lexeme[:, LEAST], 0)
    return {
        "lexeme": lexeme,
        "dfa": dfas,
        "columns": columns,
        "trans": trans,
        "fact": fact,
        "live": live,
    }


class _Pool:
    """The automata of terminals: whole ones, and those that are made of words all at once."""

    def __init__(self) -> None:
        # For each terminal its automaton, or the place of its words.
        self._added: list[Automaton | int] = []
        self._base: Automaton | None = None
        self._listed: list[tuple[bytes, ...]] = []
        self._is_base: list[bool] = []

    def add(self, dfa: Dfa | None, alphabet: frozenset[int] | None) -> None:
        """Adds the automaton of one terminal."""
        if alphabet is not None:
            self._added.append(restricted(terminal_tables(dfa), alphabet))
        elif isinstance(dfa, Words):
            self._words(dfa.listed, False)
        elif isinstance(dfa, Others) and self._is_on_base(terminal_tables(dfa.base)):
            self._words(dfa.listed, True)
        else:
            self._added.append(terminal_tables(dfa))

    def _is_on_base(self, base: Automaton) -> bool:
        self._base = self._base or base
        return self._base is base

    def _words(self, listed: tuple[bytes, ...], is_base: bool) -> None:
        self._added.append(len(self._listed))
        self._listed.append(listed)
        self._is_base.append(is_base)

    def arrays(self) -> tuple[list[int], Arrays]:
        """(the number of each terminal's automaton, all automata pooled)."""
        distinct = {a for a in self._added if isinstance(a, Automaton)}
        if self._base is not None:
            distinct.add(self._base)
        # The same automata in the same order, whatever the grammar.
        whole = tuple(sorted(distinct, key=id))
        place = {automaton: i for i, automaton in enumerate(whole)}
        numbers = [place[a] if isinstance(a, Automaton) else len(whole) + a for a in self._added]
        few = sum(automaton.transitions.size for automaton in whole) <= _KEPT_ENTRIES
        pooled = _kept(whole) if few else _together(whole)
        if not self._listed:
            return numbers, pooled
        words = [word for listed in self._listed for word in listed]
        made: Arrays = add_word_tables(
            np.frombuffer(bytearray().join(words), np.uint8),
            np.cumsum(np.array(list(map(len, words)), np.int64)),
            np.cumsum(np.array([0, *map(len, self._listed)], np.int64)),
            np.array(self._is_base, np.bool_),
            -1 if self._base is None else place[self._base],
            *pooled,
        )
        return numbers, made


@lru_cache(maxsize=64)
def _kept(whole: tuple[Automaton, ...]) -> Arrays:
    return _together(whole)


def _together(whole: tuple[Automaton, ...]) -> Arrays:
    """The tables of automata one after the other."""
    shapes = np.array([a.transitions.shape for a in whole], np.int64).reshape(-1, 2)
    dfa = np.zeros((len(shapes) + 1, 3), np.int64)
    dfa[1:, FIRST] = np.cumsum(shapes[:, 0])
    dfa[1:, OFFSET] = np.cumsum(shapes[:, 0] * shapes[:, 1])
    dfa[:-1, WIDTH] = shapes[:, 1]
    return (
        dfa,
        np.concatenate([np.zeros((0, 256), np.uint8), *(a.classes[None] for a in whole)]),
        np.concatenate([np.zeros(0, np.int32), *(a.transitions.reshape(-1) for a in whole)]),
        np.concatenate([np.zeros((0, 6), np.int32), *(a.fact for a in whole)]),
        np.concatenate([np.zeros((0, 4), np.uint64), *(a.live for a in whole)]),
    )
