"""Arrays with more room."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


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
