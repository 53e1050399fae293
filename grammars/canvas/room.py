"""Arrays with more room, up to what is allowed."""

from __future__ import annotations

import mmap
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


class OutOfRoom(Exception):  # noqa: N818 - not an error: the answer is "unknown"
    """Tables would take more room than allowed."""


def sparse(rows: int, columns: int) -> NDArray[np.int32]:
    """int32[rows, columns] of 0, of which memory is taken where it is written to.

    For large arrays numpy asks for huge pages: the first writes would clear nearly all of it.
    """
    room = mmap.mmap(-1, 4 * max(rows * columns, 1))
    return np.frombuffer(room, np.int32)[: rows * columns].reshape(rows, columns)


def taller(array: NDArray[T], length: int) -> NDArray[T]:
    """The array with so many rows, new ones filled with -1."""
    wider = np.full((length, *array.shape[1:]), -1, array.dtype)
    wider[: len(array)] = array
    return wider


def longer(array: NDArray[T]) -> NDArray[T]:
    """The array with twice the rows, new ones filled with 0."""
    return np.concatenate([array, np.zeros_like(array)])


def rows_per(rows: int, positions: int) -> int:
    """Rows a position for which room is made next time, with some to spare."""
    return int(1.5 * rows / positions) + 4
