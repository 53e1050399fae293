"""How kernels get at many arrays: by a table of their addresses.

Numba takes 0.3 µs for every array of a call, which is more than most calls take themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from ctypes import addressof, c_char
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.np.numpy_support import carray
from numpy.typing import NDArray

from guided.kernels.addresses import pointer
from guided.kernels.compiling import inner
from guided.kernels.memo_arrays import Memo, Rules

#: As kernels take it: int64, the address and the length of one array after the other.
Handle = NDArray[np.int64]


class Tokens(NamedTuple):
    """The tokens of a vocabulary as kernels see them (see grammars.token_tries)."""

    first: Any
    root: Any
    node: Any
    next_same: Any
    slice_masks: Any
    stop_ids: Any
    edge: Any


def handle_of(arrays: Iterable[NDArray[Any]]) -> Handle:
    """The handle of arrays, which the caller keeps alive. They must be contiguous."""
    table: list[int] = []
    for array in arrays:
        if not array.flags.c_contiguous:
            raise ValueError("a kernel reads contiguous arrays only")
        table += [_address(array), len(array)]
    return np.array(table, np.int64)


def _address(array: Any) -> int:
    try:
        return addressof(c_char.from_buffer(array))
    except (TypeError, ValueError):
        # Read-only or empty; three times as slow.
        return int(array.ctypes.data)


@inner
def int_block(address, length):  # type: ignore[no-untyped-def]
    """The int32[length] at an address."""
    return carray(pointer(address), length, np.int32)


@inner
def byte_block(address, length):  # type: ignore[no-untyped-def]
    """The uint8[length] at an address."""
    return carray(pointer(address), length, np.uint8)


@inner
def long_block(address, length):  # type: ignore[no-untyped-def]
    """The int64[length] at an address."""
    return carray(pointer(address), length, np.int64)


@njit(inline="always")
def _bytes(handle, i, width):  # type: ignore[no-untyped-def]
    return carray(pointer(handle[2 * i]), (handle[2 * i + 1], width), np.uint8)


@njit(inline="always")
def _ints(handle, i):  # type: ignore[no-untyped-def]
    return carray(pointer(handle[2 * i]), handle[2 * i + 1], np.int32)


@njit(inline="always")
def _int_rows(handle, i, width):  # type: ignore[no-untyped-def]
    return carray(pointer(handle[2 * i]), (handle[2 * i + 1], width), np.int32)


@njit(inline="always")
def _longs(handle, i):  # type: ignore[no-untyped-def]
    return carray(pointer(handle[2 * i]), handle[2 * i + 1], np.int64)


@njit(inline="always")
def _long_rows(handle, i, width):  # type: ignore[no-untyped-def]
    return carray(pointer(handle[2 * i]), (handle[2 * i + 1], width), np.int64)


@njit(inline="always")
def _word_rows(handle, i, width):  # type: ignore[no-untyped-def]
    return carray(pointer(handle[2 * i]), (handle[2 * i + 1], width), np.uint64)


@inner
def opened(handle):  # type: ignore[no-untyped-def]
    """(rules, memo) of the handle of both one after the other."""
    rules = Rules(
        _int_rows(handle, 0, 4),  # state
        _int_rows(handle, 1, 2),  # edge
        _int_rows(handle, 2, 2),  # rule
        _int_rows(handle, 3, 4),  # lexeme
        _long_rows(handle, 4, 3),  # dfa
        _bytes(handle, 5, 256),  # columns
        _ints(handle, 6),  # trans
        _int_rows(handle, 7, 6),  # fact
        _word_rows(handle, 8, 4),  # live
    )
    memo = Memo(
        _longs(handle, 9),  # size
        _int_rows(handle, 10, 3),  # context
        _int_rows(handle, 11, 2),  # waiting
        _int_rows(handle, 12, 5),  # parse_set
        _longs(handle, 13),  # kernel
        _int_rows(handle, 14, 5),  # group
        _int_rows(handle, 15, 2),  # scan
        _int_rows(handle, 16, 5),  # config
        _word_rows(handle, 17, 4),  # live
        _longs(handle, 18),  # thread
        _ints(handle, 19),  # context_hash
        _ints(handle, 20),  # set_hash
        _ints(handle, 21),  # config_hash
        _int_rows(handle, 22, 256),  # step
        _longs(handle, 23),  # scratch
        _longs(handle, 24),  # thread_room
        _longs(handle, 25),  # kernel_room
        _long_rows(handle, 26, 4097),  # path
        _ints(handle, 27),  # stamp
    )
    return rules, memo


@inner
def with_rooms(memo, scratch, path):  # type: ignore[no-untyped-def]
    """The same memo with rooms of a thread's own, at these addresses."""
    return Memo(
        memo.size,
        memo.context,
        memo.waiting,
        memo.parse_set,
        memo.kernel,
        memo.group,
        memo.scan,
        memo.config,
        memo.live,
        memo.thread,
        memo.context_hash,
        memo.set_hash,
        memo.config_hash,
        memo.step,
        carray(pointer(scratch), 4, np.int64),
        memo.thread_room,
        memo.kernel_room,
        carray(pointer(path), (7, 4097), np.int64),
        memo.stamp,
    )


@inner
def opened_tokens(handle, n_words):  # type: ignore[no-untyped-def]
    """The tokens of the handle of TokenTries; `n_words`: of a packed mask."""
    return Tokens(
        _ints(handle, 0),  # first
        _int_rows(handle, 1, 256),  # root
        _int_rows(handle, 2, 4),  # node
        _ints(handle, 3),  # next_same
        _int_rows(handle, 4, n_words),  # slice_masks
        _ints(handle, 5),  # stop_ids
        _ints(handle, 6),  # edge
    )
