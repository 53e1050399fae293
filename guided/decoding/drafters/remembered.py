"""What was worked out for a grammar."""

from __future__ import annotations

from collections.abc import Callable, Hashable
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

    def get(self, engine: TokenEngine | None, key: Hashable, find: Callable[[], T]) -> T:
        """The answer that was found before, or is found now; None: nothing is kept."""
        if engine is None:
            return find()
        known = self._known.get(engine)
        if known is None:
            known = self._known[engine] = {}
        found = known.get(key)
        if found is None:
            if len(known) >= _MOST:
                known.clear()
            found = known[key] = find()
        return found
