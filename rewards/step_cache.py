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
        super().__init__()
        self._keys, self._values = keys, values
        self.lazy_initialization(keys, values)
        self._show(filled)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Adds columns; all that are filled then."""
        begin, end = self.keys.shape[2], self.keys.shape[2] + key_states.shape[2]
        self._keys[:, :, begin:end] = key_states
        self._values[:, :, begin:end] = value_states
        self._show(end)
        return self.keys, self.values

    def _show(self, filled: int) -> None:
        self.keys, self.values = self._keys[:, :, :filled], self._values[:, :, :filled]
