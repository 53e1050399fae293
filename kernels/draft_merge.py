"""Merging drafts into one tree, inside of a grammar whose steps are known."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry, inner
from guided.kernels.memo_arrays import ACCEPTING, DEAD, REST, UNKNOWN

#: Columns of a tree's array.
TOKEN, PARENT, SOURCE, DEPTH, CONFIG = range(5)
N_COLUMNS = 5
#: The configuration where there is no grammar, and what `add_node` says of other tokens.
FREE = -1
_ILLEGAL, _UNCLEAR = -2, -3
#: Where a node stands in the tree if it does not.
NOWHERE = -2
#: Chance of a node, by its own drafter, below which it is not looked at.
FAINT = 0.005


@inner
def _after(config, token, rest, step, facts, data, offsets, ends):  # type: ignore[no-untyped-def]
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
    if at < len(ends) and ends[at]:
        return np.int64(_ILLEGAL)
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


@inner
def merged(  # type: ignore[no-untyped-def]
    tree, sure, size, draft, chances, place, likely, begin, form, step, facts, data, offsets,
    ends, stops,
):  # fmt: skip
    """Adds the nodes of a draft from number `begin` on to a tree.

    Args:
        tree: int64 `[room, N_COLUMNS]`, its nodes: token, parent (-1: the root), the number of the
            drafter, depth (the first nodes have 1), and the grammar's configuration.
        sure: float64 `[room]`, their chances; where a node is known the higher one stands.
        size: how many nodes the tree has.
        draft: int64 `[n, 3]`, tokens, parents and drafters; `chances` of all.
        place: int64 `[n + 1]`, filled with where the node before stands in the tree, the draft's
            root first; `NOWHERE` if it does not. `likely`: how likely it is reached.
        form: (configuration at the root, depth up to which nodes are added, tokens left at the
            root or -1, whether only chains are wanted).
        step, facts: of the grammar's memo; `data`, `offsets`: the bytes of all tokens.
        ends: bool, whether nothing but a stop token may follow a configuration, as far as known.
        stops: the stop tokens.

    Returns:
        the first node of which it is not known whether it may come, n if there is none; the size.
    """
    root, deepest, left, is_chain = form
    for i in range(begin, len(draft)):
        token = draft[i, TOKEN]
        above = place[draft[i, PARENT] + 1]
        reached = likely[draft[i, PARENT] + 1] * chances[i]
        likely[i + 1] = reached
        place[i + 1] = NOWHERE
        if above == NOWHERE or reached < FAINT:
            continue
        known = above + 1
        while known < size and not (tree[known, PARENT] == above and tree[known, TOKEN] == token):
            known += 1
        if known < size:
            sure[known] = max(sure[known], chances[i])
            place[i + 1] = known
            continue
        depth = tree[above, DEPTH] + 1 if above >= 0 else np.int64(1)
        if depth > deepest or (is_chain and above != size - 1) or _is_among(token, stops):
            continue
        config = tree[above, CONFIG] if above >= 0 else np.int64(root)
        if config != FREE:
            rest = left - depth if left >= 0 else np.int64(-1)
            rest = max(rest, np.int64(-1))
            config = _after(config, token, rest, step, facts, data, offsets, ends)
            if config == _UNCLEAR:
                return i, size
            if config == _ILLEGAL:
                continue
        tree[size, TOKEN], tree[size, PARENT], tree[size, DEPTH] = token, above, depth
        tree[size, CONFIG], tree[size, SOURCE] = config, draft[i, SOURCE]
        sure[size] = chances[i]
        place[i + 1] = size
        size += 1
    return len(draft), size


@entry
def merge(  # type: ignore[no-untyped-def]
    tree, sure, size, draft, chances, place, likely, begin, form, step, facts, data, offsets,
    ends, stops,
):  # fmt: skip
    """See `merged`."""
    return merged(
        tree, sure, size, draft, chances, place, likely, begin, form, step, facts, data, offsets,
        ends, stops,
    )  # fmt: skip
