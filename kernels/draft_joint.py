"""What lookup, grammar and suffixes guess, as one tree, in a call or two."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry, inner
from guided.kernels.copy_lookup import looked_up
from guided.kernels.draft_closing import ends_found, joined
from guided.kernels.draft_merge import merged
from guided.kernels.suffix_pool import appended, guessed


@entry
def copy(  # type: ignore[no-untyped-def]
    said, text, prompt, n_max, state, spare, longest, source, first, nodes, chances, configs, step,
    string, data, offsets, edges, ends, stays, shares,
):  # fmt: skip
    """A copy and where its string may end: (nodes, the first unclear one, ends).

    Args:
        first: a token that the copy has to begin with to be of use; -1: any will do. There are no
            nodes if it does not.
        stays: bool, is filled in for each end: whether the way there stays in one string.
        For the others see `copy_lookup.looked_up` and `draft_closing.ends_found`; nothing but the
        nodes counts if one is unclear.
    """
    count = looked_up(said, text, prompt, n_max, state, spare, longest, source, nodes, chances)
    if first >= 0:
        begins = False
        for i in range(count):
            begins |= nodes[i, 1] < 0 and nodes[i, 0] == first
        if not begins:
            return np.int64(0), np.int64(0), np.int64(0)
    last = text[len(text) - 1]
    at, found, strings = ends_found(
        nodes[:count], chances[:count], configs, np.int64(0), step, last, string, data, offsets,
        edges, ends, shares,
    )  # fmt: skip
    if at == count:
        for i in range(found):
            stays[i] = strings[ends[i] + 1] > 0
    return count, at, found


@inner
def _both(parts, sure, counts, tree, known, form, step, facts, data, offsets, stopping, stops):  # type: ignore[no-untyped-def]
    """Merges two parts of so many nodes into one tree: its nodes; -1: one was unclear."""
    place, likely = np.empty(parts.shape[1] + 1, np.int64), np.empty(parts.shape[1] + 1)
    size = np.int64(0)
    for part in range(2):
        place[0], likely[0] = -1, 1.0
        count = counts[part]
        at, size = merged(
            tree, known, size, parts[part, :count], sure[part, :count], place, likely, np.int64(0),
            form, step, facts, data, offsets, stopping, stops,
        )  # fmt: skip
        if at < count:
            return np.int64(-1)
    return size


@entry
def free(  # type: ignore[no-untyped-def]
    said, text, prompt, n_max, state, spare, longest, name, pool, total, last, new, ending, factor,
    offset, least, source, form, step, facts, data, offsets, stopping, stops, parts, sure, tree,
    nodes, known,
):  # fmt: skip
    """One tree where there is no grammar: of a copy and of what the suffix has; its nodes.

    Args:
        ending: `said` of `suffix_pool.guessed`. For the others see `copy_lookup.looked_up` and
            `grow`.
    """
    one = looked_up(said, text, prompt, n_max, state, spare, longest, name, parts[0], sure[0])
    if len(new) > 0:
        appended(pool, total, last, new, True)
    other = guessed(
        pool, total + len(new), ending, factor, offset, least, False, source, parts[1], sure[1]
    )
    size = _both(
        parts, sure, (np.int64(one), np.int64(other)), tree, known, form, step, facts, data,
        offsets, stopping, stops,
    )  # fmt: skip
    for i in range(size):
        for column in range(3):
            nodes[i, column] = tree[i, column]
    return size


@entry
def grow(  # type: ignore[no-untyped-def]
    forced, given, copied, chances, configs, ways, shares, name, pool, total, last, new, said,
    factor, offset, least, source, form, step, facts, data, offsets, stopping, stops, parts, sure,
    tree, nodes, known,
):  # fmt: skip
    """One tree: (nodes of the first part, of the second, of the tree; -1: one was unclear).

    Takes in `new` tokens, then joins what is forced with the copy, and merges that with what the
    suffix has.

    Args:
        total, last, new: see `suffix_pool.appended`; `said`: see `suffix_pool.guessed`.
        parts: int64 `[2, room, 3]`, is filled with both parts; `sure`: their chances.
        tree: int64 `[2 room or more, N_COLUMNS]`, to work in.
        nodes: int64 `[2 room or more, 3]`, is filled with the tree; `known`: its chances.
        stopping, stops: `ends` and `stops` of `draft_merge.merged`; for the others see there, and
            `draft_closing.joined`.
    """
    room = parts.shape[1]
    if len(new) > 0:
        appended(pool, total, last, new, True)
    one = joined(
        forced, given, copied, chances, configs, ways, shares, name, room, parts[0], sure[0]
    )
    other = guessed(
        pool, total + len(new), said, factor, offset, least, False, source, parts[1], sure[1]
    )
    size = _both(
        parts, sure, (np.int64(one), np.int64(other)), tree, known, form, step, facts, data,
        offsets, stopping, stops,
    )  # fmt: skip
    for i in range(size):
        for column in range(3):
            nodes[i, column] = tree[i, column]
    return one, other, size
