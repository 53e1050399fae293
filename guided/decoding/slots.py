"""Keys and values of a batch of rows, every token in a slot of its own row.

A row's slots are filled from 0 on, whatever the other rows' lengths are. Taking tokens back is
lowering the row's length: slots at and beyond it are overwritten before they are seen again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.cache_utils import Cache

from guided.kernels import slot_moves
from guided.kernels.direct_calls import Direct

_move = Direct(slot_moves.move)
#: Slots are made in blocks, so that buffers rarely grow: of `_BLOCK`, and where there are few rows
#: of more, but of at most `_SPARE` for all rows together.
_BLOCK, _SPARE = 8, 64


@dataclass(slots=True)
class LayerSlots:
    """Buffers `[rows, heads, slots, width]` of one layer."""

    keys: Tensor
    values: Tensor

    def put(self, keys: Tensor, values: Tensor) -> None:
        """Takes other buffers."""
        self.keys, self.values = keys, values

    @property
    def n_bytes(self) -> int:
        """Bytes of both buffers."""
        return self.keys.nbytes + self.values.nbytes


@dataclass(slots=True)
class Window:
    """What a pass reads and writes: rows `begin` to `end`, `columns` slots of each.

    Attributes:
        start: the slot of every row's first new token, where it is the same for all.
        slots: else the slot `[end - begin, new]` of every new token.
    """

    begin: int
    end: int
    columns: int
    start: int | None
    slots: Tensor | None = None
    row_ids: Tensor | None = field(init=False, default=None)


class SlotCache(Cache):
    """A transformers cache with one length for each row.

    `aim` says where the next pass writes; the model itself only calls `update`.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.slots: dict[int, LayerSlots] = {}
        self.window = Window(0, 0, 0, 0)
        self.rows = 0
        self.room = 0
        #: Whether buffers grow no further than they have to.
        self.is_tight = False
        self._n_bytes: int | None = 0
        self._moves: tuple[NDArray[np.int64], list[LayerSlots]] | None = None

    def aim(self, window: Window) -> None:
        """Sets where the next pass reads and writes, and makes room for it."""
        self.window = window
        slots = window.slots
        if slots is not None:
            ids = torch.arange(window.begin, window.end, device=slots.device)
            window.row_ids = ids[:, None].expand_as(slots)
        if window.end > self.rows or window.columns > self.room:
            self.reserve(window.end, window.columns)

    def reserve(self, rows: int, columns: int) -> None:
        """Makes room for so many rows and slots; what is there stays."""
        if rows <= self.rows and columns <= self.room:
            return
        if columns > self.room:
            # An eighth more, so that growing step by step copies each slot a few times only, and
            # at first some for what is said after a prompt.
            ahead = self.room * 9 // 8 if self.room else columns + _SPARE // rows
            wider = columns if self.is_tight else max(columns, ahead)
            columns = _whole_blocks(wider, _BLOCK if self.is_tight else _block_of(rows))
        self.rows, self.room = max(rows, self.rows), max(columns, self.room)
        for layer in self.slots.values():
            layer.put(
                _grown(layer.keys, self.rows, self.room), _grown(layer.values, self.rows, self.room)
            )
        self._n_bytes = self._moves = None

    def bytes_for(self, rows: int, columns: int) -> int:
        """Bytes of all buffers once there is room for so many rows and slots."""
        if not self.slots or (rows <= self.rows and columns <= self.room):
            return self.n_bytes
        columns = _whole_blocks(max(columns, self.room), _BLOCK)
        per_slot = self.n_bytes // (self.rows * self.room)
        return per_slot * max(rows, self.rows) * columns

    def shrink(self, rows: int) -> None:
        """Gives the memory of all but the first `rows` rows back."""
        self.rows = min(rows, self.rows)
        if self.rows == 0:
            self.slots, self.room, self._n_bytes, self._moves = {}, 0, 0, None
            return
        for layer in self.slots.values():
            layer.put(layer.keys[:rows].clone(), layer.values[:rows].clone())
        self._n_bytes = self._moves = None

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Stores new keys and values where `aim` said; all that the window's rows hold."""
        layer = self.slots.get(layer_idx)
        if layer is None:
            layer = self.slots[layer_idx] = LayerSlots(
                _empty(key_states, self.rows, self.room), _empty(value_states, self.rows, self.room)
            )
            self._n_bytes = self._moves = None
        return self._stored(layer.keys, key_states), self._stored(layer.values, value_states)

    def _stored(self, buffer: Tensor, new: Tensor) -> Tensor:
        window = self.window
        if window.start is not None:
            stop = window.start + new.shape[2]
            buffer[window.begin : window.end, :, window.start : stop] = new
        else:
            buffer[window.row_ids, :, window.slots] = new.transpose(1, 2)
        return buffer[window.begin : window.end, :, : window.columns]

    def compact(self, row: int, sources: Sequence[int], target: int) -> None:
        """Moves the slots `sources` of `row`, in order, to `target` and the slots after it.

        Args:
            sources: rising, none of them before the place that it moves to.
        """
        index: Tensor | None = None
        stop = target + len(sources)
        table, others = self._moving()
        if len(table):
            _move(table, row, np.array(sources, np.int64), target)
        for layer in others:
            for buffer in (layer.keys, layer.values):
                if index is None or index.device != buffer.device:
                    index = torch.tensor(sources, device=buffer.device)
                buffer[row, :, target:stop] = buffer[row].index_select(1, index)

    def _moving(self) -> tuple[NDArray[np.int64], list[LayerSlots]]:
        """The buffers on a CPU as `slot_moves.move` reads them, and the layers that are elsewhere.

        Where little is moved torch takes many times as long.
        """
        found = self._moves
        if found is None:
            here = [layer for layer in self.slots.values() if layer.keys.is_cpu]
            rows = [
                (each.data_ptr(), *each.shape[1:3], each.shape[3] * each.element_size())
                for layer in here
                for each in (layer.keys, layer.values)
            ]
            others = [layer for layer in self.slots.values() if not layer.keys.is_cpu]
            found = self._moves = np.array(rows, np.int64).reshape(-1, 4), others
        return found

    def move(self, source: int, target: int, length: int) -> None:
        """Copies the first `length` slots of a row to another row."""
        for layer in self.slots.values():
            layer.keys[target, :, :length] = layer.keys[source, :, :length]
            layer.values[target, :, :length] = layer.values[source, :, :length]

    def take(self, row: int, length: int) -> list[tuple[Tensor, Tensor]]:
        """Copies of the first `length` slots of a row, `[1, heads, length, width]` per layer."""
        return [
            (
                self.slots[index].keys[row : row + 1, :, :length].clone(),
                self.slots[index].values[row : row + 1, :, :length].clone(),
            )
            for index in sorted(self.slots)
        ]

    def put(self, row: int, begin: int, layers: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Copies keys and values into a row, from slot `begin` on; room must be reserved."""
        for index, (keys, values) in enumerate(layers):
            layer = self.slots.get(index)
            if layer is None:
                layer = self.slots[index] = LayerSlots(
                    _empty(keys, self.rows, self.room), _empty(values, self.rows, self.room)
                )
                self._n_bytes = self._moves = None
            layer.keys[row, :, begin : begin + keys.shape[2]] = keys[0]
            layer.values[row, :, begin : begin + values.shape[2]] = values[0]

    @property
    def n_bytes(self) -> int:
        """Bytes of all buffers."""
        if self._n_bytes is None:
            self._n_bytes = sum(layer.n_bytes for layer in self.slots.values())
        return self._n_bytes

    # What transformers asks of a cache. Masks and positions are always given, so these sizes
    # only have to be harmless.

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Slots that the next pass finds filled in its longest row."""
        return self.window.columns if self.window.start is None else self.window.start

    def get_max_length(self, layer_idx: int | None = None) -> int:
        """-1: there is no limit."""
        return -1

    def get_max_cache_shape(self, layer_idx: int = 0) -> int:
        """-1: there is no limit."""
        return -1

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """(columns, 0): what a pass sees."""
        return self.window.columns, 0

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def is_initialized(self) -> bool:
        """Whether a pass has been made."""
        return bool(self.slots)

    @property
    def is_sliding(self) -> list[bool]:
        """No layer forgets anything."""
        return [False] * len(self.slots)


def _block_of(rows: int) -> int:
    return max(_BLOCK, _SPARE // max(rows, 1))


def _whole_blocks(columns: int, block: int) -> int:
    return -(-columns // block) * block


def _empty(like: Tensor, rows: int, room: int) -> Tensor:
    return like.new_zeros((rows, like.shape[1], room, like.shape[3]))


def _grown(buffer: Tensor, rows: int, room: int) -> Tensor:
    grown = buffer.new_zeros((rows, buffer.shape[1], room, buffer.shape[3]))
    grown[: buffer.shape[0], :, : buffer.shape[2]] = buffer
    return grown
