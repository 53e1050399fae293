"""Building many objects without Python's cyclic garbage collector looking at them."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Pause:
    """Turns the collector off while at least one thread asks for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._running = False

    def begin(self) -> None:
        with self._lock:
            if not self._holders:
                self._running = gc.isenabled()
                gc.disable()
            self._holders += 1

    def end(self) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders and self._running:
                gc.enable()

    def forget(self) -> None:
        """In a forked process the threads that asked for it are gone."""
        self._lock = threading.Lock()
        if self._holders and self._running:
            gc.enable()
        self._holders = 0


_pause = _Pause()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pause.forget)


@contextmanager
def collector_paused() -> Iterator[None]:
    """The collector does not run meanwhile.

    Each of its runs would look at all that a schema has become so far, and once in a while at
    everything else in the process. What is built here is bounded, and hardly any of it is garbage.
    """
    _pause.begin()
    try:
        yield
    finally:
        _pause.end()
