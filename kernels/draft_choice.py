"""How likely guesses are beside each other, and how many of them are worth a place in a pass."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry, inner

#: The most that all guesses at one token may be believed in, together.
ALL_SIBLINGS = 0.98
#: A guess that is not worth thinking about.
FAINT = 0.01


@inner
def _sort(values, order):  # type: ignore[no-untyped-def]
    """Sorts indices by falling values; equal ones keep their order."""
    for i in range(1, len(order)):
        index = order[i]
        k = i
        while k > 0 and values[order[k - 1]] < values[index]:
            order[k] = order[k - 1]
            k -= 1
        order[k] = index


@inner
def _compete(nodes, chances, sources, found):  # type: ignore[no-untyped-def]
    """Puts the chances of guesses at one token into `found`.

    What one source says leaves to the others what it does not believe in itself; all together are
    not believed in beyond what can be.
    """
    _sort(chances, nodes)
    names = np.empty(len(nodes), np.int64)
    shares = np.empty(len(nodes))
    known = 0
    total = 0.0
    for i in range(len(nodes)):
        node = nodes[i]
        left = 1.0
        own = known
        for k in range(known):
            if names[k] == sources[node]:
                own = k
            else:
                left *= 1 - shares[k]
        if own == known:
            names[own], shares[own] = sources[node], 0.0
            known += 1
        found[node] = chances[node] * left
        shares[own] = min(1.0, shares[own] + chances[node])
        total += found[node]
    if total > ALL_SIBLINGS:
        for i in range(len(nodes)):
            # A guess that is certain needs no share of the rest.
            if chances[nodes[i]] < 1:
                found[nodes[i]] *= ALL_SIBLINGS / total


@entry
def shared(parents, chances, sources):  # type: ignore[no-untyped-def]
    """The chances of a tree's nodes, made smaller where several guesses at one token compete."""
    count = len(parents)
    found = chances.copy()
    done = np.zeros(count, np.bool_)
    nodes = np.empty(count, np.int64)
    for i in range(count):
        if done[i]:
            continue
        siblings = 0
        for k in range(i, count):
            if parents[k] == parents[i]:
                nodes[siblings] = k
                done[k] = True
                siblings += 1
        if siblings > 1:
            _compete(nodes[:siblings], chances, sources, found)
    return found


@entry
def ranked(parents, chances):  # type: ignore[no-untyped-def]
    """(nodes, likeliest first and none before its parent; how likely each of these is reached)."""
    count = len(parents)
    reached = np.empty(count)
    order = np.empty(count, np.int64)
    for i in range(count):
        above = 1.0 if parents[i] < 0 else reached[parents[i]]
        reached[i] = above * chances[i]
        order[i] = i
    # A child's chance is never above its parent's, and the sort is stable.
    _sort(reached, order)
    gains = np.empty(count)
    for i in range(count):
        gains[i] = reached[order[i]]
    return order, gains


@entry
def best_width(gains, counts, costs, drafting, level, least):  # type: ignore[no-untyped-def]
    """Guesses for each row at which most tokens come out in the same time; 0: none pay.

    Args:
        gains: `[rows, most]`, for every row how likely its guesses come true, likeliest first;
            `counts` of them.
        costs: of passes by their width, in passes of a single token.
        drafting: of looking for guesses, which is spent already; `level`: of drawing once more.
        least: tokens in the time of a pass of a single token that must be exceeded.
    """
    rows, most = gains.shape
    width, rate = 0, least
    total = float(rows)
    deepest = 0.0
    for tried in range(1, most + 1):
        best = 0.0
        for row in range(rows):
            if counts[row] >= tried:
                best = max(best, gains[row, tried - 1])
                total += gains[row, tried - 1]
        if best < FAINT:
            break
        deepest += best
        spent = costs[1 + tried] + drafting + level * deepest
        if total / spent > rate:
            width, rate = tried, total / spent
    return width
