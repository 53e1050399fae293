"""The memory of a parser's memo: used again, for memory costs most when it is touched first."""

from __future__ import annotations

import mmap
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.kernels import memo_arrays
from guided.kernels.handles import Handle, handle_of
from guided.kernels.memo_arrays import MAX_DEPTH, Memo

#: Entries that each growing array has room for from the start.
FIRST_ROOM = 512
# Configurations that the step table has room for from the start.
_RESERVED = 1 << 16
_LINE = 64
_FIRST: dict[str, tuple[type, tuple[int, ...]]] = {
    "size": (np.int64, (memo_arrays.N_SIZES,)),
    "context": (np.int32, (FIRST_ROOM, 3)),
    "waiting": (np.int32, (FIRST_ROOM, 2)),
    "parse_set": (np.int32, (FIRST_ROOM, 5)),
    "kernel": (np.int64, (FIRST_ROOM,)),
    "group": (np.int32, (FIRST_ROOM, 5)),
    "scan": (np.int32, (FIRST_ROOM, 2)),
    "config": (np.int32, (FIRST_ROOM, 5)),
    "live": (np.uint64, (FIRST_ROOM, 4)),
    "thread": (np.int64, (FIRST_ROOM,)),
    "context_hash": (np.int32, (2 * FIRST_ROOM,)),
    "set_hash": (np.int32, (2 * FIRST_ROOM,)),
    "config_hash": (np.int32, (2 * FIRST_ROOM,)),
    "scratch": (np.int64, (4,)),
    "thread_room": (np.int64, (FIRST_ROOM,)),
    "kernel_room": (np.int64, (FIRST_ROOM,)),
}


def _places() -> tuple[dict[str, tuple[tuple[int, ...], type, int]], int]:
    """(shape, type and place of each array in one block, bytes of the block)."""
    at, places = 0, {}
    for name, (kind, shape) in _FIRST.items():
        places[name] = shape, kind, at
        n_bytes = int(np.prod(shape)) * np.dtype(kind).itemsize
        at += -(-n_bytes // _LINE) * _LINE
    return places, at


_PLACES, _BYTES = _places()
_COUNTERS = [memo_arrays.N_CONTEXTS, memo_arrays.N_SETS, memo_arrays.N_CONFIGS]
# Rooms that are kept, and rows of the step table that one of them may have used.
_MOST_FREE = 4
_MOST_ROWS = 2048
_free: deque[Room] = deque()


def _reserved(rows: int) -> NDArray[np.int32]:
    """int32[rows, 256] of zeros, of which only what is written to will take memory.

    Growing an array takes milliseconds where it is large, in the middle of a text.
    """
    if not hasattr(mmap, "MAP_ANONYMOUS"):
        return np.zeros((FIRST_ROOM, 256), np.int32)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    try:
        room = mmap.mmap(-1, rows * 1024, flags=flags)
    except OSError:
        # The system counts what is reserved.
        return np.zeros((FIRST_ROOM, 256), np.int32)
    return np.ndarray((rows, 256), np.int32, room)


class Room:
    """Memory for one memo at a time, with its arrays and their handle.

    A new process pays for memory when it touches it first, so the rooms of parsers that are gone
    are used again.
    """

    def __init__(self) -> None:
        self._block = np.zeros(_BYTES, np.uint8)
        self._arrays: dict[str, Any] = {
            name: np.ndarray(shape, kind, self._block, at)
            for name, (shape, kind, at) in _PLACES.items()
        }
        self._arrays["step"] = _reserved(_RESERVED)
        self._arrays["path"] = np.empty((7, MAX_DEPTH + 1), np.int64)
        self._arrays["stamp"] = np.zeros(1, np.int32)
        self._handle = handle_of(self._arrays[name] for name in Memo._fields)

    def memo(self, n_rules: int) -> tuple[Memo, Handle]:
        """(the empty memo of a grammar with so many rules, its handle)."""
        stamp = np.zeros(n_rules, np.int32)
        memo = Memo(**{**self._arrays, "stamp": stamp})
        # Number 0 is the free slot of the hash tables and the dead configuration.
        memo.size[_COUNTERS] = 1
        handle = self._handle.copy()
        handle[-2:] = stamp.ctypes.data, n_rules
        return memo, handle

    def give_back(self) -> None:
        """Makes the room free for another parser; nobody may use the memo any more."""
        n_used = int(self._arrays["size"][memo_arrays.N_CONFIGS])
        if n_used <= _MOST_ROWS and len(_free) < _MOST_FREE:
            self._block.fill(0)
            self._arrays["step"][:n_used] = 0
            _free.append(self)


def room() -> Room:
    """A free room."""
    try:
        return _free.pop()
    except IndexError:
        return Room()


def n_free() -> tuple[int, int]:
    """(rooms that are kept for other parsers, how many may be)."""
    return len(_free), _MOST_FREE
