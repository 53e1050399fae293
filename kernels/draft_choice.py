"""How likely guesses are beside each other, and how many of them are worth a place in a pass."""

from __future__ import annotations

import numpy as np

from guided.kernels.compiling import entry, inner, shared_entry

#: The most that all guesses at one token may be believed in, together.
ALL_SIBLINGS = 0.98
#: A guess that is not worth thinking about.
FAINT = 0.01
#: Estimates of one source between which no difference is made, and the observations that such an
#: estimate itself counts as.
BINS, PRIOR = 10, 4.0
#: Widths of passes between which costs are interpolated.
WIDTHS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64)
#: Cost of a width that was never tried, relative to a straight line from one token to this share.
_GUESS = 0.08
#: What a token more for each row may cost at most where no such pass was measured: to begin with,
#: by the number of rows, and then in terms of what the tokens of the widest measured pass cost.
_DEAR, _DEAR_ROW, _DEAREST, _DEARER = 0.25, 0.03, 0.75, 1.5
#: The least that such a token counts as.
_CHEAP = 0.05
#: A guess that is worth trying whatever passes cost, and the most of them in one row.
_SURE, _SURE_MOST = 0.9, 8


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


@shared_entry
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


@shared_entry
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


@shared_entry
def best_width(gains, proven, counts, costs, dearest, drafting, level, least, credit, trust):  # type: ignore[no-untyped-def]
    """(guesses for each row at which most tokens come out in the same time, 0: none pay or may be
    tried; the credit that the cheapest ones that pay lack, 0: none do or one was affordable).

    Args:
        gains: `[rows, most]`, for every row how likely its guesses come true, likeliest first;
            `counts` of them. `proven`: what of it has been seen.
        costs: of passes by their width, in passes of a single token; `dearest`: at most.
        drafting: of looking for guesses, which is spent already; `level`: of drawing once more.
        least: tokens in the time of a pass of a single token that must be exceeded.
        credit: passes of a single token that may be lost if no guess comes true; `trust`: on top
            of these where what has been seen says that nothing is.
    """
    rows, most = gains.shape
    width, rate, lacking = 0, least, np.inf
    total, seen = float(rows), float(rows)
    deepest = 0.0
    for tried in range(1, most + 1):
        best = 0.0
        for row in range(rows):
            if counts[row] >= tried:
                best = max(best, gains[row, tried - 1])
                total += gains[row, tried - 1]
                seen += proven[row, tried - 1]
        if best < FAINT:
            break
        deepest += best
        spent = costs[1 + tried] + drafting + level * deepest
        if total / spent <= least:
            continue
        lost = dearest[1 + tried] - 1
        spare = credit + trust if seen >= rows * (1 + lost) else credit
        if lost > spare:
            lacking = min(lacking, lost - spare)
        elif total / spent > rate:
            width, rate = tried, total / spent
    return width, lacking if width == 0 and lacking < np.inf else 0.0


@inner
def _seconds(known, at):  # type: ignore[no-untyped-def]
    """The time of a pass of the width number `at`, by those that were measured; 0 is one of them.

    Between two measured widths on a line; beyond the last, on a hopeful one, so that it is tried
    at all.
    """
    if not np.isnan(known[at]):
        return known[at]
    below = at - 1
    while np.isnan(known[below]):
        below -= 1
    above = at + 1
    while above < len(known) and np.isnan(known[above]):
        above += 1
    if above == len(known):
        return known[below] + _GUESS * known[0] * (WIDTHS[at] - WIDTHS[below])
    share = (WIDTHS[at] - WIDTHS[below]) / (WIDTHS[above] - WIDTHS[below])
    return known[below] + share * (known[above] - known[below])


@inner
def _dear(rows):  # type: ignore[no-untyped-def]
    """What a token more for each row may cost at most before any such pass was measured."""
    return min(_DEAREST, _DEAR + _DEAR_ROW * rows)


@shared_entry
def dearest(known, costs, rows):  # type: ignore[no-untyped-def]
    """What passes may cost at most, where `relative` hopes for the best: beyond the widest one
    that was measured.
    """
    found = costs.copy()
    at = len(WIDTHS) - 1
    while at > 0 and np.isnan(known[at]):
        at -= 1
    last = WIDTHS[at]
    if last < len(costs):
        each = _dear(rows)
        if last > 1:
            each = max(_CHEAP, _DEARER * (costs[last] - 1) / (last - 1))
        for width in range(last + 1, len(costs)):
            found[width] = costs[last] + each * (width - last)
    return found


@shared_entry
def relative(known, widest):  # type: ignore[no-untyped-def]
    """Expected times of passes of 0, 1, … `widest` tokens for each row, relative to one token.

    Args:
        known: float64, seconds of passes of the `WIDTHS`, NaN where never measured.
    """
    costs = np.empty(widest + 1)
    at = 0
    for width in range(widest + 1):
        if np.isnan(known[0]):
            costs[width] = 1 + _GUESS * max(0, width - 1)
            continue
        while at < len(WIDTHS) - 1 and WIDTHS[at] < width:
            at += 1
        costs[width] = _seconds(known, at) / known[0]
    return costs


@shared_entry
def believed(parents, chances, sources, table, luck, prior):  # type: ignore[no-untyped-def]
    """What the chances of one row's guesses were worth so far, beside each other.

    Args:
        luck: a factor of the chances; what is certain stays so. For the others see `choose`.
        prior: the share of its estimate that a drafter is believed before anything was seen.
    """
    found = np.ones(len(chances))
    for i in range(len(chances)):
        if chances[i] < 1:
            at = min(np.int64(chances[i] * BINS), BINS - 1)
            hits, count = table[0, sources[i], at], table[1, sources[i], at]
            rate = (hits + PRIOR * prior * chances[i]) / (count + PRIOR)
            found[i] = min(1.0, luck * rate)
    return shared(parents, found, sources)


@inner
def _pick(order, nodes, chances, kept, sure):  # type: ignore[no-untyped-def]
    """Fills `kept` and `sure` with the nodes in `order`, as they stand in the tree; how many."""
    count = len(nodes)
    place = np.full(count + 1, -2)
    place[0] = -1
    for i in range(len(order)):
        place[order[i] + 1] = 0
    size = np.int64(0)
    for i in range(count):
        if place[i + 1] == 0:
            kept[size, 0], kept[size, 1] = nodes[i, 0], place[nodes[i, 1] + 1]
            kept[size, 2], sure[size] = nodes[i, 2], chances[i]
            place[i + 1] = size
            size += 1
    return size


@inner
def _reach(parents, chances, order, gains):  # type: ignore[no-untyped-def]
    """Fills in how likely the nodes are reached, in the order given."""
    reached = np.empty(len(chances))
    for i in range(len(chances)):
        above = 1.0 if parents[i] < 0 else reached[parents[i]]
        reached[i] = above * chances[i]
    for i in range(len(order)):
        gains[i] = reached[order[i]]


@entry
def choose(  # type: ignore[no-untyped-def]
    bounds, nodes, chances, lucks, table, known, spent, level, least, credit, trust, kept, sure
):
    """How many guesses each row gets, the likeliest, and the credit that is lacking; see
    `best_width`.

    Args:
        bounds: int64 `[rows + 1]`; the nodes of row r are those from `bounds[r]` on.
        nodes: int64 `[n, 3]`: their tokens, their parents (-1: the root), which count within the
            row, and the numbers of their drafters.
        chances: what the drafters think of them.
        lucks: `[rows]`, a factor of the chances of each row's guesses.
        table: `Tallies.table`.
        known: see `relative`; `spent`, `level`: seconds of drafting and of drawing once more.
        least: how much more must come out in the same time for guesses to be tried.
        credit, trust: see `best_width`.
        kept: int64 `[n, 3]`, is filled with the nodes that each row gets, from `bounds[r]` on;
            `sure`: float64 `[n]`, with their chances.
    """
    rows = len(bounds) - 1
    counts = bounds[1:] - bounds[:-1]
    widest = np.int64(0)
    for row in range(rows):
        widest = max(widest, counts[row])
    gains, proven = np.zeros((rows, widest)), np.zeros((rows, widest))
    order = np.empty(len(chances), np.int64)
    safest = np.int64(0)
    for row in range(rows):
        begin, end = bounds[row], bounds[row + 1]
        some, likely, names = nodes[begin:end, 1], chances[begin:end], nodes[begin:end, 2]
        found = believed(some, likely, names, table, lucks[row], 1.0)
        ranks, reached = ranked(some, found)
        seen = believed(some, likely, names, table, lucks[row], 0.0)
        _reach(some, seen, ranks, proven[row])
        safe = np.int64(0)
        for i in range(end - begin):
            order[begin + i] = ranks[i]
            gains[row, i] = reached[i]
            safe += reached[i] >= _SURE
        safest = max(safest, safe)
    base = known[0]
    width, lacking = np.int64(0), 0.0
    if np.isnan(base):
        # Only what is all but sure, until a pass has shown what a single token costs.
        width = max(np.int64(0), min(safest, np.int64(_SURE_MOST), np.int64(credit / _dear(rows))))
    elif widest > 0:
        # The time of drafting is spent already, whatever is tried.
        drafting = spent / base
        costs = relative(known, 1 + widest)
        rate = least * rows / (1 + drafting)
        width, lacking = best_width(
            gains, proven, counts, costs, dearest(known, costs, rows), drafting, level / base, rate,
            credit, trust,
        )  # fmt: skip
    for row in range(rows):
        begin, end = bounds[row], bounds[row + 1]
        likeliest = order[begin : min(end, begin + width)]
        _pick(likeliest, nodes[begin:end], chances[begin:end], kept[begin:end], sure[begin:end])
    return np.int64(width), lacking
