"""Drafts of several drafters as one tree, inside of the controls."""

from __future__ import annotations

from typing import Protocol

from guided.controls.pipeline import States
from guided.decoding.branch import Branch
from guided.decoding.drafts import ROOT, Draft
from guided.kernels.draft_merge import FAINT


class Tree(Protocol):
    """A tree in the making, without what the controls forbid or what no logits are needed after."""

    @property
    def draft(self) -> Draft:
        """The tree so far."""
        ...

    def add(self, draft: Draft) -> None:
        """Adds a draft; where its nodes are known already the higher chance stands."""
        ...


class Merging:
    """A tree of any branch, which asks the controls about every node.

    Args:
        form: "tree", or "chain": then only what goes on the first draft is added.

    Attributes:
        draft: the tree so far.
    """

    def __init__(self, branch: Branch, stop_ids: frozenset[int], form: str = "tree") -> None:
        self.draft = Draft()
        self._stop_ids = stop_ids
        self._is_chain = form == "chain"
        left = float("inf") if branch.limit is None else branch.limit - len(branch.tokens) - 1
        self._deepest = left
        self._follow = branch.pipeline.follow
        self._states: dict[int, States] = {ROOT: branch.states}
        self._depths = {ROOT: 0}
        self._children: dict[tuple[int, int], int] = {}

    def add(self, draft: Draft) -> None:
        """Adds a draft; where its nodes are known already the higher chance stands."""
        tree = self.draft
        place = {ROOT: ROOT}
        likely = {ROOT: 1.0}
        for node, (token, parent) in enumerate(zip(draft.tokens, draft.parents, strict=True)):
            above = place.get(parent)
            reached = likely[parent] * draft.chances[node]
            likely[node] = reached
            if above is None or reached < FAINT:
                continue
            known = self._children.get((above, token))
            if known is None:
                known = self._new(token, above, draft.chances[node], draft.sources[node])
            elif tree.chances[known] < draft.chances[node]:
                tree.chances[known] = draft.chances[node]
            if known is not None:
                place[node] = known

    def _new(self, token: int, above: int, chance: float, source: str) -> int | None:
        """Adds a node, if it may come."""
        depth = self._depths[above] + 1
        if token in self._stop_ids or depth > self._deepest:
            return None
        if self._is_chain and above != len(self.draft) - 1:
            return None
        after = self._follow(self._states[above], token)
        if after is None:
            return None
        new = self._children[above, token] = self.draft.add(token, above, chance, source)
        self._states[new], self._depths[new] = after, depth
        return new
