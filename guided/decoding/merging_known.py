"""Merging where nothing but a grammar, or nothing at all, limits what may be guessed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from guided.controls.grammar_mask import MaskState
from guided.controls.pipeline import States
from guided.decoding.branch import Branch
from guided.decoding.drafts import ROOT, Draft
from guided.decoding.known_grammar import Known, known_grammar
from guided.decoding.merging import Merging, Tree
from guided.kernels import draft_merge
from guided.kernels.direct_calls import Direct
from guided.kernels.draft_merge import CONFIG, DEPTH, N_COLUMNS, NOWHERE, PARENT, TOKEN

_merge = Direct(draft_merge.merge)
#: Nodes that there is room for at first.
_ROOM = 64
#: A depth that no draft has.
_DEEPEST = 1 << 30


def merging(branch: Branch, stop_ids: frozenset[int], form: str = "tree") -> Tree:
    """An empty tree for a branch, of the quickest kind; see `Merging`."""
    known = known_grammar(branch)
    return (
        Merging(branch, stop_ids, form)
        if known is None
        else KnownMerging(branch, stop_ids, form, known)
    )


@lru_cache(maxsize=16)
def sorted_ids(ids: frozenset[int]) -> NDArray[np.int64]:
    return np.array(sorted(ids), np.int64)


def form_of(branch: Branch, known: Known, form: str) -> tuple[int, int, int, bool]:
    """What `draft_merge.merged` is told of the tree that it makes."""
    limit = branch.limit
    deepest = _DEEPEST if limit is None else limit - len(branch.tokens) - 1
    return known.config, deepest, known.left, form == "chain"


class KnownMerging:
    """What `Merging` does, by a kernel over the steps that the grammar's parser has made.

    It asks the controls only about steps that were never made, and where the text may end.
    """

    def __init__(self, branch: Branch, stop_ids: frozenset[int], form: str, known: Known) -> None:
        self._branch = branch
        self._known = known
        self._stops = sorted_ids(stop_ids)
        self._form = form_of(branch, known, form)
        self._tree = np.empty((_ROOM, N_COLUMNS), np.int64)
        self._sure = np.empty(_ROOM)
        self._size = 0
        self._states: dict[int, States] = {ROOT: branch.states}

    @property
    def draft(self) -> Draft:
        """The tree so far."""
        size = self._size
        # Tokens, parents and sources stand first.
        return Draft.of(self._tree[:size, :3].copy(), self._sure[:size].copy())

    def add(self, draft: Draft) -> None:
        """Adds a draft; where its nodes are known already the higher chance stands."""
        count = len(draft)
        if not count:
            return
        self._make_room(count)
        nodes, chances = draft.nodes
        place, likely = np.empty(count + 1, np.int64), np.empty(count + 1)
        place[0], likely[0] = ROOT, 1.0
        at, about = 0, self._known.about
        while True:
            at, self._size = _merge(
                self._tree, self._sure, self._size, nodes, chances, place, likely, at, self._form,
                self._known.steps, self._known.facts, *about.bytes, about.ends.known, self._stops,
            )  # fmt: skip
            if at == count:
                return
            above = int(place[draft.parents[at] + 1])
            new = self._ask(draft.tokens[at], above)
            place[at + 1] = NOWHERE
            if new is not None:
                depth = 1 if above == ROOT else int(self._tree[above, DEPTH]) + 1
                self._tree[self._size] = draft.tokens[at], above, nodes[at, 2], depth, new
                self._sure[self._size] = chances[at]
                place[at + 1] = self._size
                self._size += 1
            at += 1

    def _make_room(self, count: int) -> None:
        wanted, room = self._size + count, len(self._sure)
        if wanted > room:
            self._tree = np.pad(self._tree, ((0, wanted), (0, 0)))
            self._sure = np.pad(self._sure, (0, wanted))

    def _ask(self, token: int, above: int) -> int | None:
        """The configuration after a token that the kernel is not sure of; None: it may not come.

        Also None in the rare case that the parser has been started afresh.
        """
        engine, config = self._known.engine, self._known.config
        if engine is None:
            raise TypeError("a kernel that asks about a grammar where there is none")
        config = engine.after(config if above == ROOT else int(self._tree[above, CONFIG]), token)
        if config == 0 or self._known.about.ends.has(engine, config):
            return None
        after = self._branch.pipeline.follow(self._states_at(above), token)
        if after is None:
            return None
        self._states[self._size] = after
        state = after[self._known.at]
        if not isinstance(state, MaskState):
            raise TypeError(f"a {type(state).__name__} where a grammar's state was")
        return config if state.grammar.key == (id(engine.parser), config) else None

    def _states_at(self, node: int) -> States:
        found = self._states.get(node)
        if found is None:
            above = self._states_at(int(self._tree[node, PARENT]))
            token = int(self._tree[node, TOKEN])
            found = self._states[node] = self._branch.pipeline.step(above, token)
        return found
