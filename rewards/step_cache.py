"""A layer of a transformers cache that has room for what a pass adds."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):
    """Keys and values that a pass writes behind those before it, instead of copying all of them.

    Args:
        keys: `[rows, heads, columns, width]`, of which the first `filled` columns hold something.
        values: the same.
    """

    def __init__(self, keys: Tensor, values: Tensor, filled: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._keys, self._values, self._filled = keys, values, 0
        self.lazy_initialization(keys, values)
        self._show(filled)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Adds columns; all that are filled then."""
        begin, end = self._filled, self._filled + key_states.shape[2]
        self._keys[:, :, begin:end] = key_states
        self._values[:, :, begin:end] = value_states
        return self._show(end)

    def _show(self, filled: int) -> tuple[Tensor, Tensor]:
        """What transformers sees: the columns that are filled."""
        self._filled = filled
        keys, values = self._keys[:, :, :filled], self._values[:, :, :filled]
        self.keys, self.values = keys, values
        return keys, values
