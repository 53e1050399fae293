"""The tables of all terminals of a grammar, pooled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.grammars.automata import Dfa, Others, Words
from guided.grammars.terminal_tables import Automaton, restricted, terminal_tables
from guided.kernels.automata_words import word_tables
from guided.kernels.memo_arrays import (
    DFA,
    FARTHEST,
    FIRST,
    LEAST,
    MOST,
    NEAREST,
    OFFSET,
    WIDTH,
)

Lexeme = tuple[Dfa | None, int, int]


def lexeme_tables(
    lexemes: Sequence[Lexeme], alphabet: frozenset[int] | None = None
) -> dict[str, NDArray[Any]]:
    """The arrays of `Rules` that describe terminals: lexeme, dfa, columns, trans, fact, live.

    With an `alphabet` only the words over these bytes are kept.
    """
    pool = _Pool()
    numbers = np.array([pool.number(dfa, alphabet) for dfa, _, _ in lexemes], np.int32)
    arrays = pool.arrays()
    lexeme = np.zeros((len(lexemes), 4), np.int32)
    lexeme[:, LEAST] = [least for _, least, _ in lexemes]
    lexeme[:, MOST] = [most for _, _, most in lexemes]
    lexeme[:, DFA] = np.where(numbers >= 0, numbers, pool.n_whole - 1 - numbers)
    first = arrays["dfa"][:-1, FIRST]
    farthest = np.maximum.reduceat(arrays["fact"][:, NEAREST], first) if len(first) else first
    lexeme[:, FARTHEST] = farthest[lexeme[:, DFA]] + np.maximum(lexeme[:, LEAST], 0)
    return {"lexeme": lexeme, **arrays}


class _Pool:
    """Distinct automata: whole ones, and those that are made of words all at once."""

    def __init__(self) -> None:
        self._whole: list[Automaton] = []
        self._numbers: dict[int, int] = {}
        self._base: Dfa | None = None
        self._listed: list[tuple[bytes, ...]] = []
        self._is_base: list[bool] = []

    @property
    def n_whole(self) -> int:
        """How many automata are whole; those of words come after them."""
        return len(self._whole)

    def number(self, dfa: Dfa | None, alphabet: frozenset[int] | None) -> int:
        """The number of an automaton; -1 - k stands for the k-th of those that words make."""
        if alphabet is None and isinstance(dfa, Words | Others):
            if isinstance(dfa, Words):
                return self._words(dfa.listed, False)
            if self._base is None or self._base is dfa.base:
                self._base = dfa.base
                return self._words(dfa.listed, True)
        automaton = terminal_tables(dfa)
        if alphabet is not None:
            automaton = restricted(automaton, alphabet)
        found = self._numbers.get(id(automaton))
        if found is None:
            found = self._numbers[id(automaton)] = len(self._whole)
            self._whole.append(automaton)
        return found

    def _words(self, listed: tuple[bytes, ...], is_base: bool) -> int:
        self._listed.append(listed)
        self._is_base.append(is_base)
        return -len(self._listed)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything pooled: dfa, columns, trans, fact, live."""
        sizes, columns, trans, fact, live = self._made_of_words()
        whole = self._whole
        shapes = np.array([a.transitions.shape for a in whole], np.int64).reshape(-1, 2)
        shapes = np.concatenate([shapes, sizes])
        dfa = np.zeros((len(shapes) + 1, 3), np.int64)
        dfa[1:, FIRST] = np.cumsum(shapes[:, 0])
        dfa[1:, OFFSET] = np.cumsum(shapes[:, 0] * shapes[:, 1])
        dfa[:-1, WIDTH] = shapes[:, 1]
        return {
            "dfa": dfa,
            "columns": np.concatenate([*(a.classes[None] for a in whole), columns]),
            "trans": np.concatenate([*(a.transitions.reshape(-1) for a in whole), trans]),
            "fact": np.concatenate([*(a.fact for a in whole), fact]),
            "live": np.concatenate([*(a.live for a in whole), live]),
        }

    def _made_of_words(self) -> tuple[NDArray[Any], ...]:
        """(sizes, columns, transitions, facts, live bytes) of the automata that words make."""
        words = [word for listed in self._listed for word in listed]
        groups = np.zeros(len(self._listed) + 1, np.int64)
        groups[1:] = np.cumsum(list(map(len, self._listed)))
        base = _nothing() if self._base is None else terminal_tables(self._base)
        made: tuple[NDArray[Any], ...] = word_tables(
            np.array(bytearray().join(words), np.uint8),
            np.cumsum(np.array(list(map(len, words)), np.int64)),
            groups,
            np.array(self._is_base, np.bool_),
            base.transitions,
            base.classes,
            base.fact,
            base.live,
        )
        return made


def _nothing() -> Automaton:
    return Automaton(
        np.zeros((0, 1), np.int32),
        np.zeros(256, np.uint8),
        np.zeros((0, 6), np.int32),
        np.zeros((0, 4), np.uint64),
    )
