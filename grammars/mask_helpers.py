"""Threads that help to make masks."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from contextlib import suppress

from guided.kernels.mask_batches import MOST_HELPERS

# Seconds that one waits for a helper to come back from its last task.
_PATIENCE = 0.0002


class Helper:
    """A thread that does one thing at a time for another one."""

    def __init__(self) -> None:
        self._go, self._free = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._task: Callable[[], object] = int
        self._avoided = -1
        self._thread = threading.Thread(target=self._work, name="guided-masks", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while True:
            self._go.acquire()
            self._task()
            self._task = int
            self._free.release()

    def start(self, task: Callable[[], object]) -> None:
        """Has the thread begin `task` soon, unless it is still with another; it must not raise."""
        if self._free.acquire(timeout=_PATIENCE):
            self._avoid(_core())
            self._task = task
            self._go.release()

    def _avoid(self, core: int) -> None:
        """Keeps the thread away from a core, which it would else be woken up on, and wait for."""
        if core in (self._avoided, -1):
            return
        self._avoided = core
        others = os.sched_getaffinity(0) - {core}
        with suppress(OSError):
            os.sched_setaffinity(self._thread.native_id or 0, others)


def _core_reader() -> Callable[[], int]:
    """What tells the core that it is called on; -1: nobody knows."""
    if not hasattr(os, "sched_setaffinity"):
        return lambda: -1
    try:
        reader: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return lambda: -1
    return reader


_core = _core_reader()
_helpers: list[Helper] = []


def helpers(count: int) -> list[Helper]:
    """So many helpers at most, for one thread at a time."""
    # A system that has no more threads does with fewer.
    with suppress(RuntimeError):
        while len(_helpers) < count:
            _helpers.append(Helper())
    return _helpers[:count]


# The threads of the parent are not in the child.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.clear)


def n_cores() -> int:
    """How many threads of this process may work at once on masks."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), 1 + MOST_HELPERS)
    return min(os.cpu_count() or 1, 1 + MOST_HELPERS)
