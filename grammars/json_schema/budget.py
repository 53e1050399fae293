"""Limits on what compiling one schema may cost, checked inside the loops."""

from __future__ import annotations

import time

from guided.errors import GrammarTooLargeError


class Budget:
    """Counts steps and processor time; `spend` raises GrammarTooLargeError when one runs out."""

    def __init__(self, steps: int = 1_000_000, seconds: float = 10.0) -> None:
        self._limit = steps
        self._left = steps
        self._seconds = seconds
        self._end = time.thread_time() + seconds
        self._next_look = steps - 256

    def spend(self, steps: int = 1) -> None:
        """Count `steps` units of work."""
        self._left -= steps
        if self._left < 0:
            raise GrammarTooLargeError(
                f"compiling the schema takes more than {self._limit} steps; "
                "split it, or name fewer alternatives"
            )
        if self._left < self._next_look:
            self._next_look = self._left - 256
            if time.thread_time() > self._end:
                raise GrammarTooLargeError(
                    f"compiling the schema takes more than {self._seconds:g} seconds of work"
                )
