"""What was worked out for a grammar."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary, ref

from guided.grammars.token_engine import TokenEngine

T = TypeVar("T")
#: Answers that are kept for one grammar.
_MOST = 1 << 14


class Remembered(Generic[T]):
    """Answers by grammar and question, kept as long as the grammar is."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[TokenEngine, dict[Hashable, T]] = WeakKeyDictionary()
        # The grammar that was asked for last: asking a weak dictionary takes longer.
        self._last: Callable[[], TokenEngine | None] = _nothing
        self._answers: dict[Hashable, T] = {}

    def of(self, engine: TokenEngine | None) -> dict[Hashable, T]:
        """The answers for one grammar, to which new ones are added; None: nothing is kept."""
        if engine is None:
            return {}
        known = self._answers if self._last() is engine else self._known.get(engine)
        if known is None:
            known = self._known[engine] = {}
        elif len(known) >= _MOST:
            known.clear()
        if known is not self._answers:
            self._last, self._answers = ref(engine), known
        return known


def _nothing() -> None:
    """Refers to no grammar."""
