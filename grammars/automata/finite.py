"""Languages given by words, whose tables are made only where somebody asks for them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from guided.errors import GrammarTooLargeError
from guided.grammars.automata.dfa import Dfa
from guided.kernels.automata_sets import literal_table

MAX_TABLE_ENTRIES = 1 << 25
"""States times byte classes of an automaton of literals (4 bytes each)."""
_ARRAYS = frozenset({"transitions", "classes", "accepting", "distance"})


class _Unmade(Dfa):
    """An automaton whose arrays come from `_made()` when the first of them is needed."""

    def __getattr__(self, name: str) -> Any:
        if name not in _ARRAYS:
            raise AttributeError(name)
        made = self._made()
        self.transitions, self.classes = made.transitions, made.classes
        self.accepting, self.distance = made.accepting, made.distance
        return self.__dict__[name]

    def _made(self) -> Dfa:
        raise NotImplementedError


class Words(_Unmade):
    """The language of `words`, which are sorted, distinct and at least one."""

    def __init__(self, words: tuple[bytes, ...]) -> None:
        self.listed = words

    @property
    def identity(self) -> Hashable:
        return self.listed

    def is_empty(self) -> bool:
        return False

    def accepts_empty(self) -> bool:
        return not self.listed[0]

    def is_finite(self) -> bool:
        return True

    def _made(self) -> Dfa:
        data = np.frombuffer(b"".join(self.listed), np.uint8)
        ends = np.cumsum([len(word) for word in self.listed], dtype=np.int64)
        table, classes, accepting = literal_table(data, ends, MAX_TABLE_ENTRIES)
        if not len(accepting):
            raise GrammarTooLargeError(
                f"{len(self.listed)} literals of {len(data)} bytes need more than "
                f"{MAX_TABLE_ENTRIES} table entries"
            )
        return Dfa(table, classes, accepting, is_minimal=True)


class Others(_Unmade):
    """The words of an infinite language but some, which are sorted, distinct and at least one."""

    def __init__(self, base: Dfa, words: tuple[bytes, ...]) -> None:
        self.base = base
        self.listed = words

    @property
    def identity(self) -> Hashable:
        return self.base.identity, self.listed

    def is_empty(self) -> bool:
        return False

    def accepts_empty(self) -> bool:
        return self.base.accepts_empty() and bool(self.listed[0])

    def is_finite(self) -> bool:
        return False

    def _made(self) -> Dfa:
        return self.base - Words(self.listed)
