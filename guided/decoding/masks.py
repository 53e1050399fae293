"""Which columns every query of a pass sees, and where it stands in its text."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from guided.kernels import pass_layout
from guided.kernels.direct_calls import Direct
from guided.kernels.dispatch import Implementation, on_cpu
from guided.kernels.tree_mask import tree_mask

_lay_out = Direct(pass_layout.lay_out)
_NO_NODES = np.empty((0, 3), np.int64)
_NO_MASK = np.empty((0, 0, 0, 0), np.bool_)
#: Shapes of passes whose numbers are kept.
_SHAPES = 64
_LOCAL = threading.local()


class Feed:
    """New tokens of one row, a tree: token i follows token `parents[i]`, -1 the row's last one."""

    __slots__ = ("_lists", "_nodes", "last")

    def __init__(self, tokens: Sequence[int], parents: Sequence[int]) -> None:
        self._lists: tuple[Sequence[int], Sequence[int]] | None = (tokens, parents)
        self._nodes: NDArray[np.int64] | None = None
        #: A token before the nodes, -1: none.
        self.last = -1

    @classmethod
    def chain(cls, tokens: Sequence[int]) -> Feed:
        """One token after the other."""
        return cls(tokens, range(-1, len(tokens) - 1))

    @classmethod
    def after(cls, last: int, nodes: NDArray[np.int64] = _NO_NODES) -> Feed:
        """A token, and a draft after it: int64 `[n, 2 or more]`, its tokens and their parents."""
        found = cls.__new__(cls)
        found._lists, found._nodes, found.last = None, nodes, last
        return found

    def __len__(self) -> int:
        if self._lists is None and self._nodes is not None:
            return 1 + len(self._nodes)
        return len(self.tokens)

    @property
    def nodes(self) -> NDArray[np.int64]:
        """The tokens but `last` and their parents, int64 `[n, 2 or more]`."""
        found = self._nodes
        if found is None:
            tokens, parents = self._lists or self._listed()
            found = self._nodes = np.empty((len(tokens), 2), np.int64)
            found.T[:] = tokens, parents
        return found

    @property
    def tokens(self) -> Sequence[int]:
        """All tokens."""
        return (self._lists or self._listed())[0]

    @property
    def parents(self) -> Sequence[int]:
        """What each of them follows."""
        return (self._lists or self._listed())[1]

    def _listed(self) -> tuple[Sequence[int], Sequence[int]]:
        tokens, parents = self.nodes[:, 0].tolist(), (self.nodes[:, 1] + 1).tolist()
        found = self._lists = [self.last, *tokens], [-1, *parents]
        return found

    def places(self, base: int) -> list[int]:
        """Where each new token stands in the text of a row that holds `base` tokens."""
        found: list[int] = []
        for parent in self.parents:
            found.append(base if parent < 0 else found[parent] + 1)
        return found


class Layout(NamedTuple):
    """The new tokens of a pass `[n, q]`, where they stand in their texts, and what they see.

    Rows are padded at the end, with tokens 0 that follow the row's last one. `ids` and `positions`
    are int64; `mask` is boolean `[n, 1, q, columns]`, None where nobody has asked for it.
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor | None


def lay_out(
    feeds: Sequence[Feed],
    width: int,
    bases: Sequence[int],
    lengths: Sequence[int],
    columns: int | None,
    device: torch.device,
) -> Layout:
    """The layout of a pass over rows that hold `bases` tokens each, `lengths` of them in slots.

    On a CPU the next one of a shape takes the place of the last in this thread.

    Args:
        width: of the widest row.
        columns: of the mask; None where it is not needed.
    """
    if not _is_cpu(device) or on_cpu() is not Implementation.NUMBA:
        return _by_arrays(feeds, width, bases, lengths, columns, device)
    rows = len(feeds)
    room = _rooms().get((rows, width)) or _new_room(rows, width)
    seen = _NO_MASK if columns is None else np.empty((rows, 1, width, columns), np.bool_)
    for row, feed in enumerate(feeds):
        _lay_out(
            feed.last, feed.nodes, bases[row], lengths[row], row, room.ids, room.positions, seen
        )
    return Layout(*room.tensors, None if columns is None else torch.from_numpy(seen))


def _is_cpu(device: torch.device) -> bool:
    """Whether it is a CPU; of the device that was asked about last, torch need not say it again."""
    last = getattr(_LOCAL, "device", None)
    if last is None or last[0] is not device:
        last = _LOCAL.device = device, device.type == "cpu"
    return bool(last[1])


class _Room(NamedTuple):
    """Numbers `[rows, width]` of a pass on the CPU, and tensors over the same memory."""

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    tensors: tuple[Tensor, Tensor]


def _rooms() -> dict[tuple[int, int], _Room]:
    """Those of this thread by their shape: a pass is over before the next one is laid out."""
    found: dict[tuple[int, int], _Room] | None = getattr(_LOCAL, "rooms", None)
    if found is None:
        found = _LOCAL.rooms = {}
    return found


def _new_room(rows: int, width: int) -> _Room:
    ids, positions = np.zeros((rows, width), np.int64), np.zeros((rows, width), np.int64)
    known = _rooms()
    if len(known) >= _SHAPES:
        known.clear()
    room = _Room(ids, positions, (torch.from_numpy(ids), torch.from_numpy(positions)))
    known[rows, width] = room
    return room


def _by_arrays(
    feeds: Sequence[Feed],
    width: int,
    bases: Sequence[int],
    lengths: Sequence[int],
    columns: int | None,
    device: torch.device,
) -> Layout:
    """The same with numbers that go to a device, where the mask is made."""
    both = np.zeros((2, len(feeds), width), np.int64)
    parents = np.full((len(feeds), width), -1, np.int32)
    for row, (feed, base) in enumerate(zip(feeds, bases, strict=True)):
        count = len(feed)
        both[0, row, :count], parents[row, :count] = feed.tokens, feed.parents
        both[1, row, :count], both[1, row, count:] = feed.places(base), base
    # One transfer for both.
    ids, positions = to_device(both, device).unbind()
    mask = None
    if columns is not None:
        held = np.array(lengths, np.int32)
        mask = tree_mask(to_device(parents, device), to_device(held, device), columns)
    return Layout(ids, positions, mask)


def to_device(numbers: NDArray[Any], device: torch.device) -> Tensor:
    """The numbers as a tensor; on a CPU it is the same memory."""
    found = torch.from_numpy(numbers)
    return found if device.type == "cpu" else found.to(device)


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
