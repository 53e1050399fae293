"""What was worked out for a grammar."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from guided.grammars.token_engine import TokenEngine

T = TypeVar("T")
#: Answers that are kept for one grammar.
_MOST = 1 << 14


class Remembered(Generic[T]):
    """Answers by grammar and question, kept as long as the grammar is."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[TokenEngine, dict[Hashable, T]] = WeakKeyDictionary()

    def of(self, engine: TokenEngine | None) -> dict[Hashable, T]:
        """The answers for one grammar, to which new ones are added; None: nothing is kept."""
        if engine is None:
            return {}
        known = self._known.get(engine)
        if known is None:
            known = self._known[engine] = {}
        elif len(known) >= _MOST:
            known.clear()
        return known
