"""Which columns every query of a pass sees, and where it stands in its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from guided.kernels import tree_mask as kernel


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

    Rows are padded at the end, with tokens 0 that follow the row's last one.
    """

    ids: Tensor
    positions: Tensor
    parents: Tensor


def layout(feeds: Sequence[Feed], bases: Sequence[int], device: torch.device) -> Layout:
    """The layout of a pass over rows that hold `bases` tokens each.

    `ids` and `positions` are int64, `parents` is int32.
    """
    width = max([len(feed.tokens) for feed in feeds])
    told = np.zeros((3, len(feeds), width), np.int64)
    told[2] = -1
    for row, feed in enumerate(feeds):
        count = len(feed.tokens)
        told[0, row, :count] = feed.tokens
        if count > 1:
            told[1, row, :count] = feed.depths()
            told[2, row, :count] = feed.parents
    told[1] += np.array(bases)[:, None]
    ids, positions, parents = torch.from_numpy(told).to(device)
    return Layout(ids, positions, parents.to(torch.int32))


def tree_mask(parents: Tensor, lengths: Sequence[int], columns: int) -> Tensor:
    """Boolean `[n, 1, q, columns]`: a query sees its row's slots, its ancestors and itself.

    Row r holds `lengths[r]` tokens; its new ones are in the slots after them. Queries beyond a
    row's new tokens are padding: they see the row, and what they give is not used.
    """
    held = torch.tensor(lengths, dtype=torch.int32, device=parents.device)
    return kernel.tree_mask(parents, held, columns)


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
