"""Token Recycling: what the model thought likely after a token when it last saw it."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guided.decoding.drafters.protocol import Drafter, Observation, Request
from guided.decoding.drafts import ROOT, Draft
from guided.errors import InputError
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.top_k import top_k

#: How often the successor of each rank is right, before anything was seen: hits out of `_PRIOR`.
_PRIOR = 8.0
_FIRST_GUESS, _FALL = 0.4, 0.4
#: Rounds after which the shape of the trees is worked out anew.
_SHAPED_EVERY = 32
#: Tokens on one path; deeper guesses are hardly ever right.
_DEEPEST = 6


class _Node(NamedTuple):
    """A node of a template: its parent's number, and which successor of the parent's token."""

    parent: int
    rank: int


class Recycling(Drafter):
    """Trees of likely successors, from a table with k successors of every token.

    The table is filled with the best tokens of all logits that verification has to make anyway
    (Luo et al. 2024, arXiv 2408.08696); the last ones count. It is shared by all branches. The
    shape of the trees follows how often each rank was right.

    Args:
        vocabulary: of the model; the table takes 4 k bytes for each of its tokens.
        k: successors that are kept.
    """

    name: ClassVar[str] = "recycling"
    reads_logits: ClassVar[bool] = True

    def __init__(self, vocabulary: Vocabulary, *, k: int = 8) -> None:
        if k < 1:
            raise InputError(f"k={k} must be at least 1")
        self.k = k
        self._stop_ids = vocabulary.stop_ids
        self._next: NDArray[np.int32] = np.full((vocabulary.size, k), -1, np.int32)
        self._hits = _PRIOR * _FIRST_GUESS * _FALL ** np.arange(k)
        self._seen = _PRIOR
        self._rounds = 0
        self._templates: dict[int, list[_Node]] = {}

    @property
    def n_bytes(self) -> int:
        """Bytes of the table."""
        return self._next.nbytes

    def propose(self, request: Request) -> list[Draft]:
        """A tree; where laws are to be kept, its likeliest path."""
        chances = (self._hits / self._seen).tolist()
        return [
            self._tree(branch.tokens[-1] if branch.tokens else branch.prompt[-1], nodes, chances)
            for branch, room in zip(request.branches, request.room, strict=True)
            for nodes in [_path(room) if request.keeps_laws else self._template(room)]
        ]

    def observe(self, observations: Sequence[Observation]) -> None:
        """Counts which ranks were right, then takes in the new successors."""
        for seen in observations:
            if len(seen.tokens) == 0:
                continue
            _, ids = top_k(seen.logits, self.k)
            best = ids.cpu().numpy().astype(np.int32)
            for before, token, successors in zip(seen.before, seen.tokens, best, strict=True):
                known = self._next[before]
                if known[0] >= 0:
                    self._seen += 1
                    self._hits += known == token
                known[: len(successors)] = successors
        self._rounds += 1
        if self._rounds % _SHAPED_EVERY == 0:
            self._templates.clear()

    def _template(self, room: int) -> list[_Node]:
        """The `room` nodes that are likeliest by their ranks, the likeliest first."""
        found = self._templates.get(room)
        if found is None:
            found = self._templates[room] = _shape(self._hits / self._seen, room)
        return found

    def _tree(self, last: int, template: list[_Node], chances: list[float]) -> Draft:
        draft = Draft()
        # Where each node of the template stands in the draft; absent where no token is known.
        places = {ROOT: ROOT}
        for number, (parent, rank) in enumerate(template):
            if parent not in places:
                continue
            before = last if parent == ROOT else draft.tokens[places[parent]]
            token = int(self._next[before, rank])
            if token >= 0 and token not in self._stop_ids:
                places[number] = draft.add(token, places[parent], chances[rank], self.name)
        return draft


def _path(room: int) -> list[_Node]:
    return [_Node(node - 1, 0) for node in range(min(room, _DEEPEST))]


def _shape(chances: NDArray[np.floating[Any]], room: int) -> list[_Node]:
    """The most probable nodes where every rank has its chance at every place."""
    nodes: list[_Node] = []
    # (minus its probability, order of arrival, parent, rank, depth)
    queue = [(-float(chances[0]), 0, ROOT, 0, 0)]
    count = 1
    while queue and len(nodes) < room:
        weight, _, parent, rank, depth = heapq.heappop(queue)
        nodes.append(_Node(parent, rank))
        above = weight / chances[rank]
        if rank + 1 < len(chances):
            heapq.heappush(queue, (above * chances[rank + 1], count, parent, rank + 1, depth))
        if depth + 1 < _DEEPEST:
            heapq.heappush(queue, (weight * chances[0], count + 1, len(nodes) - 1, 0, depth + 1))
        count += 2
    return nodes
