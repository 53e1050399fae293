"""Branches for drafters to guess at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pytest

from guided.controls.protocol import Control
from guided.decoding import Branch, Decoder
from guided.decoding.drafters import Drafter, Request
from guided.decoding.drafts import ROOT, Draft
from guided.decoding.sampling import Greedy, Sampler
from guided.model import Model

MakeBranch = Callable[..., Branch]


@pytest.fixture
def opened() -> MakeBranch:
    """Opens a branch of a model and pushes tokens onto it."""

    def make(
        model: Model,
        prompt: Sequence[int],
        tokens: Iterable[int] = (),
        controls: Iterable[Control] = (),
        limit: int | None = None,
        seed: int = 0,
        row: int = 0,
    ) -> Branch:
        decoder = Decoder(model.network, model.vocabulary)
        (branch,) = decoder.open([prompt], [list(controls)], seed, max_new_tokens=limit, rows=[row])
        grow(branch, tokens)
        return branch

    return make


def grow(branch: Branch, tokens: Iterable[int]) -> None:
    for token in tokens:
        branch.push(token, 0.0, 0.0, frozenset())


@pytest.fixture
def push() -> Callable[[Branch, Iterable[int]], None]:
    """Adds tokens to a branch."""
    return grow


@pytest.fixture
def ask() -> Callable[..., Draft]:
    """What a drafter proposes for one branch."""

    def propose(
        drafter: Drafter,
        branch: Branch,
        room: int = 16,
        sampler: Sampler | None = None,
        keeps_laws: bool = False,
    ) -> Draft:
        request = Request([branch], [room], sampler or Greedy(), keeps_laws=keeps_laws)
        (draft,) = drafter.propose(request)
        return draft

    return propose


@pytest.fixture
def chains() -> Callable[[Draft], list[list[int]]]:
    """The token sequences from the root to every leaf, in the order of the leaves."""

    def paths(draft: Draft) -> list[list[int]]:
        inner = set(draft.parents) - {ROOT}
        leaves = [node for node in range(len(draft)) if node not in inner]
        return [[draft.tokens[node] for node in draft.path(leaf)] for leaf in leaves]

    return paths
