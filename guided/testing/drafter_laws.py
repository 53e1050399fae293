"""What every drafter must obey, as assertions that a test calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from guided.decoding.branch import Branch
from guided.decoding.drafters.protocol import Drafter, Request
from guided.decoding.drafts import ROOT, Draft
from guided.decoding.sampling import Greedy, Plain


def check_draft(draft: Draft, room: int, width: int) -> None:
    """A tree of at most `room` tokens below `width`: parents first, siblings different."""
    assert len(draft) <= room, f"{len(draft)} nodes where {room} are of use"
    columns = (draft.parents, draft.chances, draft.sources)
    assert all(len(column) == len(draft) for column in columns), "columns of different lengths"
    for node, (token, parent) in enumerate(zip(draft.tokens, draft.parents, strict=True)):
        assert 0 <= token < width, f"token {token} is none of the vocabulary"
        assert ROOT <= parent < node, f"node {node} comes before its parent {parent}"
    pairs = list(zip(draft.parents, draft.tokens, strict=True))
    assert len(set(pairs)) == len(pairs), "two siblings with the same token"
    assert all(0 <= chance <= 1 for chance in draft.chances), "a chance outside of [0, 1]"
    if draft.laws is not None:
        _check_laws(draft, width)


def _check_laws(draft: Draft, width: int) -> None:
    assert draft.laws is not None
    assert draft.is_chain, "a tree with laws"
    assert draft.laws.shape == (len(draft), width), "laws of another shape"
    total = draft.laws.double().exp().sum(-1)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-5), "laws that do not add up to 1"
    for row, token in enumerate(draft.tokens):
        assert draft.laws[row, token] > -torch.inf, f"token {token} has probability 0 in its law"


def check_drafter_laws(
    drafter: Drafter, branches: Sequence[Branch], width: int, rooms: Sequence[int] = (0, 1, 5, 24)
) -> None:
    """Drafts are well-formed within any room, repeatable, chains where laws are to be kept.

    What one branch is told does not depend on the branches beside it.
    """
    for sampler in (Greedy(), Plain()):
        for keeps_laws in (False, True):
            for room in rooms:

                def ask(chosen: Sequence[Branch], room: int = room) -> list[Draft]:
                    each = [room] * len(chosen)
                    request = Request(chosen, each, sampler, keeps_laws=keeps_laws)  # noqa: B023
                    return drafter.propose(request)

                _check_answers(ask, branches, room, width, keeps_laws)


def _check_answers(
    ask: Callable[[Sequence[Branch]], list[Draft]],
    branches: Sequence[Branch],
    room: int,
    width: int,
    keeps_laws: bool,
) -> None:
    before = [list(branch.tokens) for branch in branches]
    drafts = ask(branches)
    assert len(drafts) == len(branches), "not one draft for each branch"
    for draft in drafts:
        check_draft(draft, room, width)
        assert draft.is_chain or not keeps_laws, "a tree where laws are to be kept"
    assert [branch.tokens for branch in branches] == before, "a branch was changed"
    for branch, draft in zip(branches, drafts, strict=True):
        (alone,) = ask([branch])
        assert alone.tokens == draft.tokens, "another draft at the second asking"
        assert alone.parents == draft.parents, "another tree at the second asking"
