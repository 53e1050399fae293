"""The states of one prompt's controls, found by the tokens generated so far."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from guided.controls.pipeline import Pipeline, States
from guided.errors import DeadEndError

#: What an entry costs beside its key: a rough size of the dictionary slot and of the states.
_ENTRY_BYTES = 1024


class Ended(Enum):
    """Why a prefix has no states."""

    STOPPED = "after a stop token"
    OUTSIDE = "outside of the grammar"


class PrefixStates:
    """A cache from prefixes to states. Dropping it at any time costs time, never a result.

    States follow from their prefix alone, so beams may be permuted, drafts rejected and rows
    repeated. The least recently used prefixes go first once the cache holds `limit` bytes.
    """

    def __init__(
        self, pipeline: Pipeline, start: States, stop_ids: Collection[int], limit: int
    ) -> None:
        self.pipeline = pipeline
        self.start = start
        self._stop_ids = stop_ids
        self._limit = limit
        self._bytes = 0
        self._states: OrderedDict[bytes, States | Ended] = OrderedDict()

    def at(self, tokens: NDArray[np.int64]) -> States | Ended:
        """The states after `tokens`; whatever follows a stop token is padding."""
        key = tokens.tobytes()
        if not key:
            return self.start
        if key in self._states:
            self._states.move_to_end(key)
            return self._states[key]
        known, states = self._longest_known(key)
        for token in tokens[known:].tolist():
            if isinstance(states, Ended):
                break
            states = self._step(states, token)
        self._keep(key, states)
        return states

    def drop(self) -> None:
        """Forget every prefix."""
        self._states.clear()
        self._bytes = 0

    def _step(self, states: States, token: int) -> States | Ended:
        try:
            after = self.pipeline.step(states, token)
        except DeadEndError:
            return Ended.OUTSIDE
        return Ended.STOPPED if token in self._stop_ids else after

    def _longest_known(self, key: bytes) -> tuple[int, States | Ended]:
        for end in range(len(key) - 8, 0, -8):
            part = key[:end]
            if part in self._states:
                return end // 8, self._states[part]
        return 0, self.start

    def _keep(self, key: bytes, states: States | Ended) -> None:
        self._states[key] = states
        self._bytes += len(key) + _ENTRY_BYTES
        while self._bytes > self._limit and len(self._states) > 1:
            oldest, _ = self._states.popitem(last=False)
            self._bytes -= len(oldest) + _ENTRY_BYTES
