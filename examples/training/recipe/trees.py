"""Token trees: one right solution, and branches that leave it for one line each.

A branch sees the prompt, the lines before it and itself, so that one row holds many prefixes of
one problem, right and wrong ones in equal number, and each is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from torch import Tensor

from .batches import IGNORED, padded
from .model import PAD

WRONG, RIGHT = 0, 1


@dataclass(frozen=True)
class Line:
    """Token ids of one line with the token that ends it, and whether it is right.

    Tokens before number `judged` say nothing about that yet. Those from the first to before the
    second number of `said` are to be predicted.
    """

    ids: list[int]
    right: bool
    judged: int = 0
    said: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Tree:
    """A row; all lists have one entry per token.

    `branches` is 0 on the trunk. `limits` is how much of the trunk a token of a branch sees.
    `steps` labels the tokens that end a line, `tokens` the others, `nexts` is the token to predict.
    """

    ids: list[int]
    positions: list[int]
    branches: list[int]
    limits: list[int]
    steps: list[int]
    tokens: list[int]
    nexts: list[int]

    def add(self, line: Line, start: int, branch: int, limit: int) -> None:
        """Appends the tokens of a line whose first one has position `start`."""
        size = len(line.ids)
        label = RIGHT if line.right else WRONG
        first, end = line.said
        said = [i if first <= at < end else IGNORED for at, i in enumerate(line.ids)]
        self.ids.extend(line.ids)
        self.positions.extend(range(start, start + size))
        self.branches.extend([branch] * size)
        self.limits.extend([limit] * size)
        self.steps.extend([IGNORED] * (size - 1) + [label])
        self.tokens.extend(
            [IGNORED if i < line.judged else label for i in range(size - 1)] + [IGNORED]
        )
        self.nexts[-1:] = [said[0]] if branch == 0 else self.nexts[-1:]
        self.nexts.extend([*said[1:], IGNORED])


def tree(prompt: list[int], trunk: list[Line], others: list[list[Line]]) -> Tree:
    """The row of a prompt, a right solution, and other lines in place of each of its lines."""
    size = len(prompt)
    none = [IGNORED] * size
    row = Tree([*prompt], [*range(size)], [0] * size, [0] * size, [*none], [*none], [*none])
    starts = []
    for line in trunk:
        starts.append(len(row.ids))
        row.add(line, len(row.ids), branch=0, limit=0)
    number = 0
    for start, lines in zip(starts, others, strict=True):
        for line in lines:
            number += 1
            row.add(line, start, number, limit=start)
    return row


@dataclass(frozen=True)
class Forest:
    """Rows as tensors [batch, time], right-padded; the fields are those of `Tree`."""

    ids: Tensor
    positions: Tensor
    branches: Tensor
    limits: Tensor
    steps: Tensor
    tokens: Tensor
    nexts: Tensor

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The fields in their order."""
        return tuple(getattr(self, one.name) for one in fields(self))

    def to(self, device: str) -> Forest:
        """The same batch on a device."""
        return Forest(*(part.to(device, non_blocking=True) for part in self.parts))

    def wanted(self) -> Tensor:
        """Where something is to be learned, bool [batch, time]."""
        return (self.steps >= 0) | (self.tokens >= 0) | (self.nexts >= 0)


def collate(rows: list[Tree]) -> Forest:
    """Rows as a batch; padding is on the trunk, behind everything that looks at the trunk."""
    empty = {"ids": PAD, "steps": IGNORED, "tokens": IGNORED, "nexts": IGNORED}
    made = {}
    for field in fields(Tree):
        lists = [getattr(row, field.name) for row in rows]
        made[field.name] = padded(lists, empty.get(field.name, 0))
    return Forest(**made)
