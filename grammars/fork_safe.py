"""Locks that a fork takes first, so that a child finds whole tables and free locks.

A thread of the parent may be in the middle of a table when another one forks (data loaders do).
The child has only the thread that forked: without this the lock would stay taken for ever there.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from numba.core.compiler_lock import global_compiler_lock

if TYPE_CHECKING:
    from _thread import LockType, RLock

    AnyLock = LockType | RLock
    Lock = TypeVar("Lock", LockType, RLock)

#: Whoever holds a lock takes others of later levels only; several of the last at once: BATCH, too.
GRAMMAR, ENGINE, BATCH, PARSER = range(4)

_compiling: Any = global_compiler_lock  # numba does not type it
_registry = threading.Lock()
_known: tuple[WeakSet[AnyLock], ...] = tuple(WeakSet() for _ in range(4))
_taken: list[AnyLock] = []


def fork_safe(lock: Lock, level: int) -> Lock:
    """`lock` itself, which forks respect from now on."""
    with _registry:
        _known[level].add(lock)
    return lock


def _take_all() -> None:
    # Later levels are made by holders of earlier locks, who register them meanwhile.
    for level in _known:
        with _registry:
            locks = list(level)
        for lock in locks:
            lock.acquire()
            _taken.append(lock)
    # Kernels are compiled or loaded at their first call, which parsers make.
    _compiling.acquire()
    _registry.acquire()


def _free_all() -> None:
    _registry.release()
    _compiling.release()
    while _taken:
        _taken.pop().release()


# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_take_all, after_in_parent=_free_all, after_in_child=_free_all)
