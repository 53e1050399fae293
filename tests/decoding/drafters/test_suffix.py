"""Suffix decoding drafts the most frequent continuations in a bounded pool of all branches."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from guided.decoding.drafters.protocol import Observation
from guided.decoding.drafters.suffix import Suffix
from guided.errors import InputError
from guided.testing import check_drafter_laws, table_model

MODEL = table_model(40)
VOCABULARY = MODEL.vocabulary


def test_what_another_branch_said_is_drafted(opened: Any, ask: Any, push: Any) -> None:
    drafter = Suffix(VOCABULARY)
    first, second = opened(MODEL, [1, 2, 3]), opened(MODEL, [1, 2, 3])
    assert len(ask(drafter, second)) == 0
    push(first, [4, 5, 6, 7, 0])
    drafter.observe([Observation(first, [4, 5, 6, 7, 0], [], torch.empty(0))])
    # Three tokens match; the stop token is not drafted.
    assert ask(drafter, second, room=9).tokens == [4, 5, 6, 7]


def test_the_length_follows_the_match(opened: Any, ask: Any, push: Any) -> None:
    drafter = Suffix(VOCABULARY, factor=1.0, offset=0)
    branch = opened(MODEL, [1, 2, 3, 4, 5, 6, 7, 8, 9, 20])
    push(branch, [2])
    assert ask(drafter, branch).tokens == [3]
    push(branch, [3, 4])
    assert ask(drafter, branch).tokens == [5, 6, 7]


def test_frequent_continuations_come_first(opened: Any, ask: Any, chains: Any) -> None:
    drafter = Suffix(VOCABULARY)
    for said in ([9, 2, 3, 5], [8, 2, 3, 6], [7, 2, 3, 6], [10, 2, 3, 6]):
        ask(drafter, opened(MODEL, [1], said))
    draft = ask(drafter, opened(MODEL, [30], [2, 3]))
    assert draft.tokens[0] == 6
    assert [5] in chains(draft)
    chances = dict(zip(draft.tokens, draft.chances, strict=True))
    assert chances[6] == pytest.approx(3 * chances[5])


def test_rare_continuations_are_left_out(opened: Any, ask: Any) -> None:
    drafter = Suffix(VOCABULARY)
    ask(drafter, opened(MODEL, [1], [2, 3, 5]))
    for _ in range(10):
        ask(drafter, opened(MODEL, [1], [2, 3, 6]))
    assert 5 not in ask(drafter, opened(MODEL, [30], [2, 3])).tokens


def test_a_chain_where_laws_are_to_be_kept(opened: Any, ask: Any) -> None:
    drafter = Suffix(VOCABULARY)
    for said in ([9, 2, 3, 5], [8, 2, 3, 6], [7, 2, 3, 6]):
        ask(drafter, opened(MODEL, [1], said))
    draft = ask(drafter, opened(MODEL, [30], [2, 3]), keeps_laws=True)
    assert draft.is_chain
    assert draft.tokens[0] == 6


def test_a_fork_does_not_repeat_what_its_parent_said(opened: Any, ask: Any, push: Any) -> None:
    drafter = Suffix(VOCABULARY)
    branch = opened(MODEL, [1], [2, 3, 4])
    ask(drafter, branch)
    tokens = drafter.pool.n_tokens
    child = branch.fork(5)
    drafter.fork(branch, child)
    assert drafter.pool.n_tokens <= tokens + len(branch.prompt) + len(branch.tokens)
    push(branch, [5, 2, 3])
    push(child, [6, 2, 3])
    assert ask(drafter, branch, room=2).tokens == ask(drafter, child, room=2).tokens
    assert 4 in ask(drafter, child).tokens


def test_drafts_are_well_formed_and_repeatable(opened: Any) -> None:
    tokens = [1 + (i * i) % 7 for i in range(60)]
    branches = [opened(MODEL, tokens[:20], tokens[20:]), opened(MODEL, [1, 2], [3])]
    check_drafter_laws(Suffix(VOCABULARY), branches, VOCABULARY.size)


def test_the_pool_is_bounded(opened: Any, ask: Any) -> None:
    drafter = Suffix(VOCABULARY, capacity=200)
    for start in range(60):
        ask(drafter, opened(MODEL, [1 + start % 30], [1 + (start + i) % 39 for i in range(30)]))
        assert drafter.pool.n_tokens <= 200
    assert ask(drafter, opened(MODEL, [1], [5, 6, 7]), room=2).tokens == [8, 9]


def test_a_prompt_beyond_the_capacity_will_do(opened: Any, ask: Any) -> None:
    drafter = Suffix(VOCABULARY, capacity=20)
    branch = opened(MODEL, [1 + i % 39 for i in range(100)], [5, 6])
    for _ in range(3):
        ask(drafter, branch)
        assert drafter.pool.n_tokens <= 20


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="capacity=0"):
        Suffix(VOCABULARY, capacity=0)
