"""A query sees its row's cached tokens, its ancestors and itself, in every way of computing it."""

from __future__ import annotations

import pytest
import torch

from guided.kernels.tree_mask import tree_mask

#: Per row: a chain; two trees with branches; a tree and padding at its end; two roots.
PARENTS = [
    [-1, 0, 1, 2, 3, 4],
    [-1, 0, 0, 1, 2, 2],
    [-1, 0, 1, 1, -1, -1],
    [-1, -1, 1, 0, 2, 3],
]
LENGTHS = [7, 0, 600, 3]


def lineage(parents: list[int], node: int) -> set[int]:
    seen = set()
    while node >= 0:
        seen.add(node)
        node = parents[node]
    return seen


@pytest.mark.parametrize("spare", [0, 5])
def test_what_a_query_sees(way, spare: int) -> None:
    columns = max(LENGTHS) + len(PARENTS[0]) + spare
    found = tree_mask(
        torch.tensor(PARENTS, dtype=torch.int32, device=way.device),
        torch.tensor(LENGTHS, dtype=torch.int32, device=way.device),
        columns,
    )
    assert found.shape == (4, 1, 6, columns)
    assert found.dtype == torch.bool
    for row, (parents, length) in enumerate(zip(PARENTS, LENGTHS, strict=True)):
        for node in range(6):
            new = {length + place for place in lineage(parents, node)}
            seen = set(found[row, 0, node].nonzero()[:, 0].tolist())
            assert seen == set(range(length)) | new


def test_random_trees_agree_with_the_lineage(way) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = [
        [int(torch.randint(-1, max(node, 1), (), generator=generator)) for node in range(20)]
        for _ in range(5)
    ]
    rows = [[-1, *row[1:]] for row in rows]
    parents = torch.tensor(rows, dtype=torch.int32, device=way.device)
    lengths = torch.arange(5, dtype=torch.int32, device=way.device)
    found = tree_mask(parents, lengths, 30)
    for row, given in enumerate(rows):
        for node in range(20):
            seen = set(found[row, 0, node].nonzero()[:, 0].tolist())
            assert seen == set(range(row)) | {row + place for place in lineage(given, node)}
