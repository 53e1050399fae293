"""What every drafter must obey, as assertions that a test calls."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from guided.decoding.branch import Branch
from guided.decoding.drafters.protocol import Drafter, Request
from guided.decoding.drafts import ROOT, Draft
from guided.decoding.sampling import Greedy, Plain, Sampler
from guided.testing.holding import hold


def check_draft(draft: Draft, room: int, width: int) -> None:
    """A tree of at most `room` tokens below `width`: parents first, siblings different."""
    hold(len(draft) <= room, f"{len(draft)} nodes where {room} are of use")
    columns = (draft.parents, draft.chances, draft.sources)
    hold(all(len(column) == len(draft) for column in columns), "columns of different lengths")
    for node, (token, parent) in enumerate(zip(draft.tokens, draft.parents, strict=True)):
        hold(0 <= token < width, f"token {token} is none of the vocabulary")
        hold(ROOT <= parent < node, f"node {node} comes before its parent {parent}")
    pairs = list(zip(draft.parents, draft.tokens, strict=True))
    hold(len(set(pairs)) == len(pairs), "two siblings with the same token")
    hold(all(0 <= chance <= 1 for chance in draft.chances), "a chance outside of [0, 1]")
    if draft.laws is not None:
        _check_laws(draft, draft.laws, width)


def _check_laws(draft: Draft, laws: Tensor, width: int) -> None:
    hold(draft.is_chain, "a tree with laws")
    hold(laws.shape == (len(draft), width), "laws of another shape")
    total = laws.double().exp().sum(-1)
    hold(torch.allclose(total, torch.ones_like(total), atol=1e-5), "laws that do not add up to 1")
    for row, token in enumerate(draft.tokens):
        hold(bool(laws[row, token] > -torch.inf), f"token {token} has probability 0 in its law")


def check_drafter_laws(
    drafter: Drafter, branches: Sequence[Branch], width: int, rooms: Sequence[int] = (0, 1, 5, 24)
) -> None:
    """Drafts are well-formed within any room, repeatable, chains where laws are to be kept.

    What one branch is told does not depend on the branches beside it.
    """
    samplers: list[Sampler] = [Greedy(), Plain()]
    for sampler, keeps_laws, room in product(samplers, (False, True), rooms):
        before = [list(branch.tokens) for branch in branches]
        drafts = _ask(drafter, branches, sampler, keeps_laws, room)
        hold(len(drafts) == len(branches), "not one draft for each branch")
        for draft in drafts:
            check_draft(draft, room, width)
            hold(draft.is_chain or not keeps_laws, "a tree where laws are to be kept")
        hold([branch.tokens for branch in branches] == before, "a branch was changed")
        for branch, draft in zip(branches, drafts, strict=True):
            (alone,) = _ask(drafter, [branch], sampler, keeps_laws, room)
            hold(alone.tokens == draft.tokens, "another draft at the second asking")
            hold(alone.parents == draft.parents, "another tree at the second asking")


def _ask(
    drafter: Drafter, branches: Sequence[Branch], sampler: Sampler, keeps_laws: bool, room: int
) -> list[Draft]:
    each = [room] * len(branches)
    return drafter.propose(Request(branches, each, sampler, keeps_laws=keeps_laws))
