"""Which columns every query of a pass sees, and where it stands in its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


def padded(rows: Sequence[Sequence[int]], width: int) -> list[list[int]]:
    """The rows as lists of `width` numbers; zeros at their ends."""
    return [[*row, *([0] * (width - len(row)))] for row in rows]


def tree_mask(feeds: Sequence[Feed], lengths: Sequence[int], columns: int, device: Any) -> Tensor:
    """Boolean `[n, 1, q, columns]`: a query sees its row's slots, its ancestors and itself.

    Row r holds `lengths[r]` tokens; its new ones are in the slots after them. Queries beyond a
    row's new tokens are padding: they see the row, and what they give is not used.
    """
    width = max(len(feed.tokens) for feed in feeds)
    parents = [[*feed.parents, *([-1] * (width - len(feed.parents)))] for feed in feeds]
    return kernel.tree_mask(
        torch.tensor(parents, dtype=torch.int32, device=device),
        torch.tensor(lengths, dtype=torch.int32, device=device),
        columns,
    )


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
