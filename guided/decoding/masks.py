"""Which columns every query of a pass sees, and where it stands in its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from guided.kernels import tree_mask as kernel
from guided.kernels.dispatch import Implementation, implementation

#: Shapes of passes whose arrays are kept.
_SHAPES = 64


@dataclass(frozen=True, slots=True)
class Feed:
    """New tokens of one row, a tree: token i follows token `parents[i]`, -1 the row's last one."""

    tokens: Sequence[int]
    parents: Sequence[int]

    @classmethod
    def chain(cls, tokens: Sequence[int]) -> Feed:
        """One token after the other."""
        return cls(tokens, range(-1, len(tokens) - 1))

    def places(self, base: int) -> list[int]:
        """Where each new token stands in the text of a row that holds `base` tokens."""
        found: list[int] = []
        for parent in self.parents:
            found.append(base if parent < 0 else found[parent] + 1)
        return found


class Layout(NamedTuple):
    """The new tokens of a pass `[n, q]`, where they stand in their texts, and what they follow.

    Rows are padded at the end, with tokens 0 that follow the row's last one. `ids` and `positions`
    are int64; `parents`, on the host, is int32.
    """

    ids: Tensor
    positions: Tensor
    parents: NDArray[np.int32]


class _Room(NamedTuple):
    """Arrays of one shape, and on a CPU the tensors over the same memory."""

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    parents: NDArray[np.int32]
    tensors: tuple[Tensor, Tensor] | None


class Layouts:
    """Makes the layouts of passes on a device; on a CPU the next one of a shape takes the place of
    the last.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._rooms: dict[tuple[int, int], _Room] = {}

    def of(self, feeds: Sequence[Feed], bases: Sequence[int]) -> Layout:
        """The layout of a pass over rows that hold `bases` tokens each."""
        counts = [len(feed.tokens) for feed in feeds]
        width = max(counts)
        room = self._rooms.get((len(feeds), width)) or self._new(len(feeds), width)
        ids, positions, parents = room.ids, room.positions, room.parents
        for row, (feed, base, count) in enumerate(zip(feeds, bases, counts, strict=True)):
            if width == 1:
                ids[row, 0], positions[row, 0] = feed.tokens[0] if count else 0, base
                continue
            if count < width:
                ids[row, count:], positions[row, count:], parents[row, count:] = 0, base, -1
            ids[row, :count], parents[row, :count] = feed.tokens, feed.parents
            positions[row, :count] = feed.places(base)
        if room.tensors is not None:
            return Layout(*room.tensors, parents)
        # One transfer for both.
        both = to_device(np.stack((ids, positions)), self.device)
        return Layout(both[0], both[1], parents)

    def _new(self, rows: int, width: int) -> _Room:
        ids, positions = np.zeros((rows, width), np.int64), np.zeros((rows, width), np.int64)
        tensors = None
        if self.device.type == "cpu":
            tensors = torch.from_numpy(ids), torch.from_numpy(positions)
        room = _Room(ids, positions, np.full((rows, width), -1, np.int32), tensors)
        if len(self._rooms) >= _SHAPES:
            self._rooms.clear()
        self._rooms[rows, width] = room
        return room


def to_device(numbers: NDArray[Any], device: torch.device) -> Tensor:
    """The numbers as a tensor; on a CPU it is the same memory."""
    found = torch.from_numpy(numbers)
    return found if device.type == "cpu" else found.to(device)


def tree_mask(
    parents: NDArray[np.int32], lengths: Sequence[int], columns: int, device: torch.device
) -> Tensor:
    """Boolean `[n, 1, q, columns]`: a query sees its row's slots, its ancestors and itself.

    Row r holds `lengths[r]` tokens; its new ones are in the slots after them. Queries beyond a
    row's new tokens are padding: they see the row, and what they give is not used.
    """
    held = np.array(lengths, np.int32)
    if implementation(device) is Implementation.NUMBA:
        return kernel.of_arrays(parents, held, columns)
    return kernel.tree_mask(to_device(parents, device), to_device(held, device), columns)


def windowed(mask: Tensor, positions: Tensor, window: int) -> Tensor:
    """`mask` without what is `window` or more positions before its query.

    Columns below the first of a row's new slots hold the positions 0, 1, …; a new token's slot
    holds the position of its query, and its query is the last of the row to see it first: the
    diagonal. So a query sees its own column at distance 0 and each ancestor at its depth.
    """
    n, _, queries, columns = mask.shape
    at = torch.arange(columns, device=mask.device).expand(n, columns).clone()
    # The slot of query i is the last column that it sees and no earlier query does.
    own = mask[:, 0].long() * (1 + torch.arange(columns, device=mask.device))
    slots = own.amax(dim=-1) - 1
    at.scatter_(1, slots, positions)
    near = positions[:, :, None] - at[:, None, :] < window
    return mask & near[:, None] if queries else mask
