"""What the model remembers of a batch of rows: their tokens and, where it has one, its cache.

Rows of different lengths are padded on the left. The caches of transformers grow by making new
tensors, so a shallow copy of the layers is a snapshot that later growth leaves alone.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from guided.decoding.network import Network
from guided.decoding.usage import Usage


def _is_plain(cache: Any) -> bool:
    """Whether rows of such caches can be cut and joined along the sequence."""
    return isinstance(cache, DynamicCache) and all(
        type(layer) is DynamicLayer and layer.is_initialized for layer in cache.layers
    )


def _snapshot(cache: Any) -> Any:
    if not _is_plain(cache):
        # Other kinds of layers may write in place.
        return copy.deepcopy(cache)
    twin = copy.copy(cache)
    twin.layers = [copy.copy(layer) for layer in cache.layers]
    return twin


def _padded(rows: Sequence[Sequence[int]], columns: int, device: torch.device) -> Tensor:
    return torch.tensor([[0] * (columns - len(row)) + list(row) for row in rows], device=device)


class Memory:
    """A batch of rows that have been read by the model."""

    def __init__(
        self, network: Network, usage: Usage, rows: list[list[int]], cache: Any, columns: int
    ) -> None:
        self.network = network
        self.usage = usage
        self.rows = rows
        self.cache = cache
        self.columns = columns
        #: New tokens of every row in the last pass.
        self.last = 0
        lengths = torch.tensor([len(row) for row in rows], device=network.device)
        self._lengths = lengths
        self._is_ragged = any(len(row) != columns for row in rows)
        self._mask: Tensor | None = None

    @classmethod
    def read(
        cls, network: Network, usage: Usage, rows: Sequence[Sequence[int]], kept: int = 1
    ) -> tuple[Memory, Tensor]:
        """The memory of `rows`, and the logits `[n, kept, V]` of the last columns, in one pass.

        This and all later passes are counted in `usage`.
        """
        memory = cls(network, usage, [list(row) for row in rows], None, max(map(len, rows)))
        return memory, memory._read_all(kept)

    def _mask_for(self, columns: int) -> Tensor | None:
        if not self._is_ragged:
            return None
        if self._mask is None or self._mask.shape[1] < columns:
            # Room for more columns, so that it is not made anew at every step.
            at = torch.arange(columns + 64, device=self.network.device)
            pads = self.columns - self._lengths
            self._mask = (at[None] >= pads[:, None]).long()
        return self._mask[:, :columns]

    def _read_all(self, kept: int = 1) -> Tensor:
        ids = _padded(self.rows, self.columns, self.network.device)
        mask = self._mask_for(self.columns)
        positions = None if mask is None else (mask.cumsum(-1) - 1).clamp_(min=0)
        logits, self.cache = self.network.forward(ids, mask, positions, None, kept)
        self._count(sum(map(len, self.rows)))
        return logits

    def _count(self, positions: int) -> None:
        self.usage.passes += 1
        self.usage.positions += positions

    def append(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """The logits `[n, q, V]` after each of q more tokens on every row."""
        for row, more in zip(self.rows, tokens, strict=True):
            row.extend(more)
        count = self.last = len(tokens[0])
        begin, self.columns = self.columns, self.columns + count
        lengths, self._lengths = self._lengths, self._lengths + count
        if self.cache is None:
            return self._read_all(count)
        mask = self._mask_for(begin + count)
        steps = torch.arange(count, device=self.network.device)
        ids = torch.tensor(tokens, device=self.network.device)
        logits, self.cache = self.network.forward(
            ids, mask, lengths[:, None] + steps, self.cache, count
        )
        self._count(ids.numel())
        return logits

    @property
    def can_crop(self) -> bool:
        """Whether tokens can be taken back: a single row, in a cache of the plain kind or none."""
        return len(self.rows) == 1 and (self.cache is None or _is_plain(self.cache))

    def crop(self, count: int) -> None:
        """Takes back the last `count` tokens of the only row."""
        del self.rows[0][-count:]
        self.columns -= count
        self._lengths = self._lengths - count
        if self.cache is not None:
            self.cache.crop(-count)

    def snapshot(self) -> Memory:
        """This memory as it is now; later growth of either leaves the other alone."""
        return self._like([list(row) for row in self.rows], _snapshot(self.cache), self.columns)

    def _like(self, rows: list[list[int]], cache: Any, columns: int) -> Memory:
        return Memory(self.network, self.usage, rows, cache, columns)

    def select(self, indices: Sequence[int]) -> Memory:
        """A memory of the rows at `indices`, which may repeat.

        The rows are read again where the cache cannot pick rows.
        """
        chosen = [list(self.rows[index]) for index in indices]
        if self.cache is None:
            return self._like(chosen, None, self.columns)
        if not isinstance(self.cache, Cache):
            return Memory.read(self.network, self.usage, chosen)[0]
        cache = _snapshot(self.cache)
        order = torch.tensor(indices, device=self.network.device)
        for layer in cache.layers:
            layer.reorder_cache(order)
        return self._like(chosen, cache, self.columns)


def join(places: Sequence[tuple[Memory, int]]) -> Memory:
    """One memory of the given rows of several memories.

    Rows of plain caches are copied; other kinds of caches are read again.
    """
    first = places[0][0]
    indices = [index for _, index in places]
    if all(memory is first for memory, _ in places):
        if indices == list(range(len(first.rows))):
            return first.snapshot()
        return first.select(indices)
    rows = [list(memory.rows[index]) for memory, index in places]
    if first.cache is not None and all(_is_plain(memory.cache) for memory, _ in places):
        columns = max(map(len, rows))
        return first._like(rows, _joined(places, columns), columns)
    if first.cache is None:
        return first._like(rows, None, max(map(len, rows)))
    return Memory.read(first.network, first.usage, rows)[0]


def _joined(places: Sequence[tuple[Memory, int]], columns: int) -> Any:
    cache = _snapshot(places[0][0].cache)
    for depth, layer in enumerate(cache.layers):
        sources = [(memory.cache.layers[depth], memory, index) for memory, index in places]
        layer.keys = _stacked([(s.keys, m, i) for s, m, i in sources], columns)
        layer.values = _stacked([(s.values, m, i) for s, m, i in sources], columns)
    return cache


def _stacked(parts: Sequence[tuple[Tensor, Memory, int]], columns: int) -> Tensor:
    some = parts[0][0]
    joined = some.new_zeros((len(parts), some.shape[1], columns, some.shape[3]))
    for row, (source, memory, index) in enumerate(parts):
        length = len(memory.rows[index])
        joined[row, :, columns - length :] = source[index, :, source.shape[2] - length :]
    return joined
