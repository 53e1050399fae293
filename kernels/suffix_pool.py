"""A ring of tokens of many sequences: where their ends stood before, and how it went on there.

Every token has a number; the token of number g lies in slot g % capacity until `capacity` later
ones have come. Sequences grow side by side, so each token knows the one before and the one after
it. For each order n in `ORDERS` the tokens that follow n-grams with one hash are chained, the
latest first: a number that is too old ends its chain, and nothing ever has to be swept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from guided.kernels.compiling import entry, inner

#: Lengths of the n-grams that are looked up, shortest first.
ORDERS = (1, 2, 4)
#: Places of one n-gram that are looked at, the latest ones.
PLACES = 32
#: Tokens up to which a match is followed backwards, and those of a match that is long enough.
LONGEST, ENOUGH = 32, 8
#: Entries of one chain that are looked at; those of other n-grams with the same hash are passed by.
_VISITED = 256


class Ring(NamedTuple):
    """The arrays of a pool.

    Attributes:
        token: int32 `[capacity]`.
        before: int64 `[capacity]`, the number of the token before it in its sequence, -1: none.
        after: int64 `[capacity]`, that of the one after it, -1: none yet.
        link: int64 `[orders, capacity]`, the number before it in its chain.
        head: int64 `[orders, buckets]`, the last number of every chain; a power of two of buckets.
    """

    token: NDArray[np.int32]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    link: NDArray[np.int64]
    head: NDArray[np.int64]


def ring(capacity: int) -> Ring:
    """An empty one, for so many tokens."""
    buckets = 1 << (2 * capacity - 1).bit_length()
    return Ring(
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int64),
        np.empty(capacity, np.int64),
        np.empty((len(ORDERS), capacity), np.int64),
        np.full((len(ORDERS), buckets), -1, np.int64),
    )


@inner
def _mixed(h, token):  # type: ignore[no-untyped-def]
    h = (h ^ np.uint64(token + 1)) * np.uint64(0x9E3779B97F4A7C15)
    return h ^ (h >> np.uint64(29))


@inner
def appended(pool, total, last, tokens, indexed):  # type: ignore[no-untyped-def]
    """Adds tokens after the token of number `last` (-1: at the beginning of a sequence).

    They get the numbers from `total` on. Only those that are `indexed` are ever found.
    """
    capacity = len(pool.token)
    buckets = np.uint64(pool.head.shape[1] - 1)
    for i in range(len(tokens)):
        number = total + i
        slot = number % capacity
        oldest = number - capacity
        if indexed:
            h = np.uint64(0)
            at = last
            order = 0
            for n in range(1, ORDERS[-1] + 1):
                if at < 0 or at <= oldest:
                    break
                h = _mixed(h, pool.token[at % capacity])
                if n == ORDERS[order]:
                    bucket = np.int64(h & buckets)
                    pool.link[order, slot] = pool.head[order, bucket]
                    pool.head[order, bucket] = number
                    order += 1
                at = pool.before[at % capacity]
        pool.token[slot] = tokens[i]
        pool.before[slot] = last
        pool.after[slot] = -1
        if last > oldest:
            pool.after[last % capacity] = number
        last = number


@inner
def _matched(pool, oldest, said, place):  # type: ignore[no-untyped-def]
    """How many tokens before `place` are those at the end of `said`."""
    capacity = len(pool.token)
    at = pool.before[place % capacity]
    length = 0
    while length < min(len(said), LONGEST) and at >= oldest and at >= 0:
        if pool.token[at % capacity] != said[len(said) - 1 - length]:
            break
        length += 1
        at = pool.before[at % capacity]
    return length


@inner
def _find(pool, total, said, places):  # type: ignore[no-untyped-def]
    """(tokens that match, places): where the end of `said` stood; oldest place first.

    The longest match counts; of those that are long all count alike.
    """
    capacity = len(pool.token)
    oldest = max(np.int64(0), total - capacity)
    lengths = np.empty(PLACES, np.int64)
    for order in range(len(ORDERS) - 1, -1, -1):
        n = ORDERS[order]
        if n > len(said):
            continue
        h = np.uint64(0)
        for k in range(n):
            h = _mixed(h, said[len(said) - 1 - k])
        at = pool.head[order, np.int64(h & np.uint64(pool.head.shape[1] - 1))]
        count = 0
        visited = 0
        longest = 0
        while at >= oldest and count < PLACES and visited < _VISITED:
            length = _matched(pool, oldest, said, at)
            if length >= n:
                places[count] = at
                lengths[count] = length
                longest = max(longest, length)
                count += 1
            visited += 1
            at = pool.link[order, at % capacity]
        if count > 0:
            kept = 0
            for i in range(count):
                if lengths[i] >= min(longest, ENOUGH):
                    places[kept] = places[i]
                    kept += 1
            for i in range(kept // 2):
                places[i], places[kept - 1 - i] = places[kept - 1 - i], places[i]
            return longest, kept
    return 0, 0


@inner
def _count_tokens(pool, places, tokens, counts):  # type: ignore[no-untyped-def]
    """Fills in the different tokens at some places with their counts, the most frequent first.

    Equally frequent ones stay in the order of their first place. Returns how many, and their sum.
    """
    capacity = len(pool.token)
    different = 0
    total = 0
    for i in range(len(places)):
        if places[i] < 0:
            continue
        total += 1
        token = pool.token[places[i] % capacity]
        k = 0
        while k < different and tokens[k] != token:
            k += 1
        if k == different:
            tokens[k] = token
            counts[k] = 0
            different += 1
        counts[k] += 1
    for i in range(1, different):
        token, count = tokens[i], counts[i]
        k = i
        while k > 0 and counts[k - 1] < count:
            tokens[k], counts[k] = tokens[k - 1], counts[k - 1]
            k -= 1
        tokens[k], counts[k] = token, count
    return different, total


@inner
def guessed(pool, total, said, factor, offset, least, is_chain, source, into, chances):  # type: ignore[no-untyped-def]
    """The likeliest continuations of `said`, best first, as a tree; the number of its nodes.

    Args:
        factor: most tokens of a path for each that matches; `offset`: and on top of these.
        least: probability of a path below which it is left out.
        is_chain: whether only the most frequent token at each node counts.
        source: the number of the drafter.
        into: int64 `[room, 3]`, is filled with the nodes' tokens, their parents (-1: the root) and
            `source`, as far as there is room; `chances` likewise.
    """
    capacity = len(pool.token)
    room = len(chances)
    # The nodes that wait to be expanded, the root first: each with the places after it.
    places = np.empty((room + 1, PLACES), np.int64)
    held = np.empty(room + 1, np.int64)
    likely = np.empty(room + 1)
    depth = np.zeros(room + 1, np.int64)
    node = np.empty(room + 1, np.int64)
    some = np.empty(PLACES, np.int32)
    counts = np.empty(PLACES, np.int64)
    matched, held[0] = _find(pool, total, said, places[0])
    deepest = int(factor * matched) + offset
    likely[0], node[0] = 1.0, -1
    waiting = 1
    nodes = 0
    while nodes < room:
        best = 0
        for i in range(1, waiting):
            if likely[i] > likely[best]:
                best = i
        above = likely[best]
        if above <= 0:
            break
        likely[best] = 0
        different, sum_of = _count_tokens(pool, places[best, : held[best]], some, counts)
        for k in range(different):
            share = counts[k] / sum_of
            reached = above * share
            if reached < least or nodes >= room:
                break
            length = matched + depth[best]
            into[nodes, 0], into[nodes, 1], into[nodes, 2] = some[k], node[best], source
            # The longer the match with what is drafted, the surer.
            chances[nodes] = share * (length + 0.5) / (length + 1.0)
            if depth[best] + 1 < deepest:
                kept = 0
                for i in range(held[best]):
                    place = places[best, i]
                    if place >= 0 and pool.token[place % capacity] == some[k]:
                        places[waiting, kept] = pool.after[place % capacity]
                        kept += 1
                held[waiting], likely[waiting] = kept, reached
                node[waiting], depth[waiting] = nodes, depth[best] + 1
                waiting += 1
            nodes += 1
            if is_chain:
                break
    return nodes


@entry
def append(pool, total, last, tokens, indexed):  # type: ignore[no-untyped-def]
    """See `appended`."""
    appended(pool, total, last, tokens, indexed)


@entry
def guess(pool, total, said, factor, offset, least, is_chain, source, into, chances):  # type: ignore[no-untyped-def]
    """See `guessed`."""
    return guessed(pool, total, said, factor, offset, least, is_chain, source, into, chances)
