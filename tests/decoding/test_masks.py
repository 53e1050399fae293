"""What a pass is given is what its feeds say, in every way of laying it out."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from guided.decoding.masks import Feed, lay_out
from guided.kernels.dispatch import Implementation, using

CPU = torch.device("cpu")
WAYS = [Implementation.NUMBA, Implementation.TORCH]


def drawn(random_: random.Random) -> Feed:
    """A token and a tree after it, a tree, a chain, or nothing."""
    kind = random_.randrange(4)
    count = random_.randrange(7)
    tokens = [random_.randrange(100) for _ in range(count)]
    parents = [random_.randrange(-1, node) if node else -1 for node in range(count)]
    if kind == 0:
        nodes = np.zeros((count, 3), np.int64)
        nodes[:, 0], nodes[:, 1] = tokens, parents
        return Feed.after(random_.randrange(100), nodes)
    if kind == 1:
        return Feed(tokens, parents)
    return Feed.chain(tokens) if kind == 2 else Feed([], [])


def test_a_token_and_a_draft_are_one_tree() -> None:
    feed = Feed.after(5, np.array([[7, -1, 0], [8, 0, 0], [9, -1, 0]]))
    assert (list(feed.tokens), list(feed.parents)) == ([5, 7, 8, 9], [-1, 0, 1, 0])
    assert len(feed) == 4
    assert feed.places(10) == [10, 11, 12, 11]
    assert len(Feed.after(5)) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(20))
def test_tokens_places_and_what_they_see(way: Implementation, seed: int) -> None:
    random_ = random.Random(seed)
    feeds = [drawn(random_) for _ in range(random_.randrange(1, 5))]
    width = max(1, *map(len, feeds))
    lengths = [random_.randrange(9) for _ in feeds]
    bases = [length + random_.choice([0, 3]) for length in lengths]
    columns = max(lengths) + width
    with using(way):
        ids, positions, mask = lay_out(feeds, width, bases, lengths, columns, CPU)
    assert mask is not None
    assert mask.shape == (len(feeds), 1, width, columns)
    for row, (feed, base, length) in enumerate(zip(feeds, bases, lengths, strict=True)):
        count = len(feed)
        assert ids[row].tolist() == [*feed.tokens, *[0] * (width - count)]
        assert positions[row].tolist() == [*feed.places(base), *[base] * (width - count)]
        parents = [*feed.parents, *[-1] * (width - count)]
        for node in range(width):
            seen = {*range(length), length + node}
            at = node
            while parents[at] >= 0:
                at = parents[at]
                seen.add(length + at)
            assert set(mask[row, 0, node].nonzero()[:, 0].tolist()) == seen


@pytest.mark.parametrize("way", WAYS)
def test_no_mask_is_made_where_none_is_needed(way: Implementation) -> None:
    with using(way):
        ids, positions, mask = lay_out([Feed.after(3), Feed([], [])], 1, [4, 2], [4, 2], None, CPU)
    assert (ids.tolist(), positions.tolist(), mask) == ([[3], [0]], [[4], [2]], None)
