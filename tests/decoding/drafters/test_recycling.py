"""Token Recycling drafts what the model last thought likely after each token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from guided.decoding import Branch
from guided.decoding.drafters.protocol import Observation
from guided.decoding.drafters.recycling import Recycling
from guided.errors import InputError
from guided.testing import check_drafter_laws, table_model

WIDTH = 12
MODEL = table_model(WIDTH)


def seen(branch: Branch, pairs: Sequence[tuple[int, list[int]]]) -> Observation:
    """After each token the model liked the others in this order, and drew the first."""
    logits = torch.zeros(len(pairs), WIDTH)
    for row, (_, liked) in enumerate(pairs):
        for rank, token in enumerate(liked):
            logits[row, token] = 10.0 - rank
    return Observation(branch, [liked[0] for _, liked in pairs], [b for b, _ in pairs], logits)


def test_the_successors_of_the_last_round_are_drafted(opened: Any, ask: Any, chains: Any) -> None:
    drafter = Recycling(MODEL.vocabulary, k=2)
    branch = opened(MODEL, [1], [2])
    assert len(ask(drafter, branch)) == 0
    drafter.observe([seen(branch, [(2, [3, 4]), (3, [5, 6]), (5, [7, 8])])])
    paths = chains(ask(drafter, branch, room=20))
    assert [3, 5, 7] in paths
    assert [4] in paths
    drafter.observe([seen(branch, [(2, [9, 3])])])
    assert [9] in chains(ask(drafter, branch, room=20))


def test_a_small_room_holds_the_likeliest_nodes(opened: Any, ask: Any) -> None:
    drafter = Recycling(MODEL.vocabulary)
    branch = opened(MODEL, [1], [2])
    drafter.observe([seen(branch, [(2, [3, 4]), (3, [5, 6])])])
    assert ask(drafter, branch, room=1).tokens == [3]
    assert ask(drafter, branch, room=2).tokens in ([3, 4], [3, 5])


def test_ranks_that_are_right_get_more_of_the_tree(opened: Any, ask: Any) -> None:
    drafter = Recycling(MODEL.vocabulary, k=3)
    branch = opened(MODEL, [1], [2])
    drafter.observe([seen(branch, [(2, [3, 4, 5])])])
    before = ask(drafter, branch, room=3).chances
    for _ in range(100):  # always what was second
        drafter.observe([Observation(branch, [4], [2], seen(branch, [(2, [3, 4, 5])]).logits)])
    draft = ask(drafter, branch, room=3)
    chances = dict(zip(draft.tokens, draft.chances, strict=True))
    assert chances[4] > 0.8 > max(before)


def test_stop_tokens_are_not_drafted(opened: Any, ask: Any) -> None:
    drafter = Recycling(MODEL.vocabulary)
    branch = opened(MODEL, [1], [2])
    drafter.observe([seen(branch, [(2, [0, 3])])])
    assert 0 not in ask(drafter, branch, room=30).tokens


def test_drafts_are_well_formed_and_repeatable(opened: Any) -> None:
    drafter = Recycling(MODEL.vocabulary)
    branches = [opened(MODEL, [1], [token]) for token in (2, 3, 4)]
    likes = [(t, [(t + 1) % WIDTH, (t + 3) % WIDTH, (t + 5) % WIDTH]) for t in range(1, WIDTH)]
    drafter.observe([seen(branches[0], likes)])
    check_drafter_laws(drafter, branches, WIDTH, rooms=(0, 1, 7, 80))


def test_branches_share_one_table_of_fixed_size(opened: Any, ask: Any) -> None:
    drafter = Recycling(MODEL.vocabulary, k=4)
    size = drafter.n_bytes
    assert size == WIDTH * 4 * 4
    one, other = opened(MODEL, [1], [2]), opened(MODEL, [3], [2])
    drafter.observe([seen(one, [(2, [5])])])
    assert ask(drafter, other, room=1).tokens == [5]
    assert drafter.n_bytes == size


def test_fewer_tokens_than_successors_will_do(opened: Any, ask: Any) -> None:
    model = table_model(4)
    drafter = Recycling(model.vocabulary, k=8)
    branch = opened(model, [1], [2])
    drafter.observe([Observation(branch, [3], [2], torch.arange(4.0)[None])])
    assert ask(drafter, branch, room=1).tokens == [3]


def test_no_successors_are_refused() -> None:
    with pytest.raises(InputError, match="k=0"):
        Recycling(MODEL.vocabulary, k=0)
