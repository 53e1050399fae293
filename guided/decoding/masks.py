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


@dataclass(frozen=True, slots=True)
class Feed:
    """New tokens of one row, a tree: token i follows token `parents[i]`, -1 the row's last one."""

    tokens: Sequence[int]
    parents: Sequence[int]

    @classmethod
    def chain(cls, tokens: Sequence[int]) -> Feed:
        """One token after the other."""
        return cls(tokens, range(-1, len(tokens) - 1))

    def depths(self) -> list[int]:
        """How many of the new tokens stand before each."""
        found: list[int] = []
        for parent in self.parents:
            found.append(0 if parent < 0 else found[parent] + 1)
        return found


class Layout(NamedTuple):
    """The new tokens of a pass `[n, q]`, where they stand in their texts, and what they follow.

    Rows are padded at the end, with tokens 0 that follow the row's last one. `ids` and `positions`
    are int64; `parents`, on the host, is int32.
    """

    ids: Tensor
    positions: Tensor
    parents: NDArray[np.int32]


def layout(feeds: Sequence[Feed], bases: Sequence[int], device: torch.device) -> Layout:
    """The layout of a pass over rows that hold `bases` tokens each."""
    width = max([len(feed.tokens) for feed in feeds])
    shape = len(feeds), width
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    parents = np.full(shape, -1, np.int32)
    for row, feed in enumerate(feeds):
        count = len(feed.tokens)
        ids[row, :count] = feed.tokens
        if count > 1:
            positions[row, :count] = feed.depths()
            parents[row, :count] = feed.parents
    positions += np.array(bases)[:, None]
    return Layout(to_device(ids, device), to_device(positions, device), parents)


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
