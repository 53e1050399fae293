"""Merging drafts into one tree, inside of a grammar whose steps are known."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry, inner
from guided.kernels.memo_arrays import ACCEPTING, DEAD, REST, UNKNOWN

#: Rows of a tree's array.
TOKEN, PARENT, DEPTH, CONFIG, ORIGIN = range(5)
N_ROWS = 5
#: The configuration where there is no grammar, and what `add_node` says of other tokens.
FREE = -1
_ILLEGAL, _UNCLEAR = -2, -3
#: Where a node stands in the tree if it does not.
NOWHERE = -2
#: Chance of a node, by its own drafter, below which it is not looked at.
FAINT = 0.005


@inner
def _after(config, token, rest, step, facts, data, offsets):  # type: ignore[no-untyped-def]
    """The configuration after a token with `rest` tokens left then (negative: any number)."""
    if token < 0 or token >= len(offsets) - 1 or offsets[token] == offsets[token + 1]:
        return np.int64(_ILLEGAL)
    at = np.int64(config)
    for i in range(offsets[token], offsets[token + 1]):
        target = step[at, data[i]]
        if target == UNKNOWN:
            return np.int64(_UNCLEAR)
        if target == DEAD:
            return np.int64(_ILLEGAL)
        at = np.int64(target)
    # Whether nothing may follow, or the rest is too short, is for the grammar to say.
    if facts[at, ACCEPTING] or (rest >= 0 and facts[at, REST] + 1 > rest):
        return np.int64(_UNCLEAR)
    return at


@inner
def _is_among(token, some):  # type: ignore[no-untyped-def]
    found = False
    for i in range(len(some)):
        found |= some[i] == token
    return found


@entry
def merge(  # type: ignore[no-untyped-def]
    tree, sure, size, draft, chances, place, likely, begin, first, form, step, facts, data, offsets,
    stops,
):  # fmt: skip
    """Adds the nodes of a draft from number `begin` on to a tree.

    Args:
        tree: int64 `[N_ROWS, room]`, its nodes: token, parent (-1: the root), depth (the first
            nodes have 1), the grammar's configuration, and the number that each node had among
            all that were looked at.
        sure: float64 `[room]`, their chances; where a node is known the higher one stands.
        size: how many nodes the tree has.
        draft: int64 `[2, n]`, tokens and parents; `chances` of all.
        place: int64 `[n + 1]`, filled with where the node before stands in the tree, the draft's
            root first; `NOWHERE` if it does not. `likely`: how likely it is reached.
        first: the number of the draft's first node among all that were looked at.
        form: (configuration at the root, depth up to which nodes are added, tokens left at the
            root or -1, whether only chains are wanted).
        step, facts: of the grammar's memo; `data`, `offsets`: the bytes of all tokens.
        stops: the stop tokens.

    Returns:
        the first node of which it is not known whether it may come, n if there is none; the size.
    """
    root, deepest, left, is_chain = form
    for i in range(begin, draft.shape[1]):
        token = draft[0, i]
        above = place[draft[1, i] + 1]
        reached = likely[draft[1, i] + 1] * chances[i]
        likely[i + 1] = reached
        place[i + 1] = NOWHERE
        if above == NOWHERE or reached < FAINT:
            continue
        known = above + 1
        while known < size and not (tree[PARENT, known] == above and tree[TOKEN, known] == token):
            known += 1
        if known < size:
            sure[known] = max(sure[known], chances[i])
            place[i + 1] = known
            continue
        depth = tree[DEPTH, above] + 1 if above >= 0 else np.int64(1)
        if depth > deepest or (is_chain and above != size - 1) or _is_among(token, stops):
            continue
        config = tree[CONFIG, above] if above >= 0 else np.int64(root)
        if config != FREE:
            rest = left - depth if left >= 0 else np.int64(-1)
            config = _after(config, token, max(rest, np.int64(-1)), step, facts, data, offsets)
            if config == _UNCLEAR:
                return i, size
            if config == _ILLEGAL:
                continue
        tree[TOKEN, size], tree[PARENT, size], tree[DEPTH, size] = token, above, depth
        tree[CONFIG, size], tree[ORIGIN, size] = config, first + i
        sure[size] = chances[i]
        place[i + 1] = size
        size += 1
    return draft.shape[1], size
