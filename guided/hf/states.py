"""The states of one grammar, found by the tokens generated so far."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from guided.grammars.states import GrammarState

#: What an entry costs beside its key: a rough size of the dictionary slot and of the state.
_ENTRY_BYTES = 1024


class PrefixStates:
    """A cache from prefixes to states. Dropping it at any time costs time, never a result.

    A state follows from its prefix alone, so beams may be permuted, drafts rejected and rows
    repeated. The least recently used prefixes go first once the cache holds `limit` bytes.
    """

    def __init__(self, start: GrammarState, limit: int) -> None:
        self.start = start
        self._limit = limit
        self._bytes = 0
        self._states: OrderedDict[bytes, GrammarState | None] = OrderedDict()

    def at(self, tokens: NDArray[np.int64]) -> GrammarState | None:
        """The state after `tokens`; None if the grammar does not allow them.

        Whatever follows a stop token is padding and changes nothing.
        """
        key = tokens.tobytes()
        if not key:
            return self.start
        if key in self._states:
            self._states.move_to_end(key)
            return self._states[key]
        known, state = self._longest_known(key)
        for token in tokens[known:].tolist():
            if state is None or state.is_finished:
                break
            state = state.advance(token)
        self._keep(key, state)
        return state

    def drop(self) -> None:
        """Forget every prefix."""
        self._states.clear()
        self._bytes = 0

    def _longest_known(self, key: bytes) -> tuple[int, GrammarState | None]:
        for end in range(len(key) - 8, 0, -8):
            part = key[:end]
            if part in self._states:
                return end // 8, self._states[part]
        return 0, self.start

    def _keep(self, key: bytes, state: GrammarState | None) -> None:
        self._states[key] = state
        self._bytes += len(key) + _ENTRY_BYTES
        while self._bytes > self._limit and len(self._states) > 1:
            oldest, _ = self._states.popitem(last=False)
            self._bytes -= len(oldest) + _ENTRY_BYTES
