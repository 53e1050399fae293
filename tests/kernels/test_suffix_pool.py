"""The pool of sequences finds what a plain search through all of them finds."""

from __future__ import annotations

import heapq
import random
from collections import Counter

import pytest

from guided.decoding.drafters.sequence_pool import NOTHING, SequencePool
from guided.decoding.drafts import ROOT, Draft
from guided.kernels.suffix_pool import ENOUGH, LONGEST, ORDERS, PLACES

FACTOR, OFFSET, LEAST = 2.0, 1, 0.1
#: (sequence, index in it) of a token.
Place = tuple[int, int]


class Plain:
    """All sequences as lists, and the order in which their tokens have come."""

    def __init__(self) -> None:
        self.sequences: list[list[int]] = []
        self.order: list[Place] = []
        self.indexed: set[Place] = set()

    def extend(self, number: int, tokens: list[int], indexed: bool) -> None:
        for token in tokens:
            place = number, len(self.sequences[number])
            self.sequences[number].append(token)
            self.order.append(place)
            if indexed:
                self.indexed.add(place)

    def matched(self, said: list[int], place: Place) -> int:
        before = self.sequences[place[0]][: place[1]]
        length = 0
        while length < min(len(said), len(before), LONGEST):
            if before[-1 - length] != said[-1 - length]:
                break
            length += 1
        return length

    def find(self, said: list[int]) -> tuple[int, list[Place]]:
        for order in sorted(ORDERS, reverse=True):
            found = [
                place
                for place in self.order
                if place in self.indexed and self.matched(said, place) >= order <= len(said)
            ][-PLACES:]
            if found:
                lengths = [self.matched(said, place) for place in found]
                enough = min(max(lengths), ENOUGH)
                kept = [p for p, length in zip(found, lengths, strict=True) if length >= enough]
                return max(lengths), kept
        return 0, []

    def token(self, place: Place) -> int:
        sequence = self.sequences[place[0]]
        return sequence[place[1]] if place[1] < len(sequence) else -1

    def guess(self, said: list[int], room: int) -> Draft:
        """Best first, by a heap."""
        draft = Draft()
        matched, places = self.find(said)
        deepest = int(FACTOR * matched) + OFFSET
        queue: list[tuple[float, int, int, int, list[Place]]] = [(-1.0, 0, ROOT, 0, places)]
        arrivals = 1
        while queue and len(draft) < room:
            weight, _, parent, depth, places = heapq.heappop(queue)
            tokens = [self.token(place) for place in places]
            counts = Counter(token for token in tokens if token >= 0)
            for token, number in counts.most_common():
                share = number / sum(counts.values())
                likely = -weight * share
                if likely < LEAST or len(draft) >= room:
                    break
                length = matched + depth
                node = draft.add(token, parent, share * (length + 0.5) / (length + 1.0), "plain")
                if depth + 1 < deepest:
                    after = [(n, i + 1) for n, i in places if self.token((n, i)) == token]
                    heapq.heappush(queue, (-likely, arrivals, node, depth + 1, after))
                    arrivals += 1
        return draft


@pytest.mark.parametrize("letters", [2, 4, 9])
def test_trees_are_those_of_a_plain_search(letters: int) -> None:
    rng = random.Random(letters)
    pool, plain = SequencePool(1 << 12), Plain()
    lasts: list[int] = []
    compared = 0
    for _ in range(250):
        if not lasts or rng.random() < 0.1:
            context = [rng.randrange(letters) for _ in range(rng.randrange(5))]
            plain.sequences.append([])
            plain.extend(len(lasts), context, indexed=False)
            lasts.append(pool.extend(NOTHING, context, indexed=False))
        number = rng.randrange(len(lasts))
        new = [rng.randrange(letters) for _ in range(rng.randrange(1, 6))]
        plain.extend(number, new, indexed=True)
        lasts[number] = pool.extend(lasts[number], new)
        said, room = plain.sequences[number][-32:], rng.randrange(1, 32)
        found = pool.guess(said, room, "plain", factor=FACTOR, offset=OFFSET, least=LEAST)
        wanted = plain.guess(said, room)
        assert (found.tokens, found.parents) == (wanted.tokens, wanted.parents)
        assert found.chances == pytest.approx(wanted.chances, abs=1e-12)
        compared += len(wanted)
    assert compared > 1000


def test_tokens_that_were_overwritten_are_not_found() -> None:
    pool = SequencePool(10)
    size = pool.n_bytes
    for start in range(1, 50):
        pool.extend(NOTHING, [start, start + 1, start + 2, 7, 7])
    assert pool.n_tokens == 10
    assert pool.n_bytes == size

    def after(*said: int) -> list[int]:
        return pool.guess(said, 1, "", factor=1, offset=1, least=0.0).tokens

    assert after(20, 21) == []
    assert after(48, 49) == [50]
    assert after(50, 51) == [7]


def test_a_sequence_goes_on_while_its_end_is_known() -> None:
    pool = SequencePool(8)
    first = pool.extend(NOTHING, [1, 2])
    assert first in pool
    assert NOTHING not in pool
    pool.extend(NOTHING, [3] * 7)
    assert first in pool
    pool.extend(NOTHING, [3])
    assert first not in pool
    # What stood before is gone, and does not stand in the way.
    assert pool.extend(first, [5, 6, 5]) in pool
    assert pool.guess([5], 4, "", factor=1, offset=1, least=0.0).tokens[0] == 6


def test_only_the_best_path_where_a_chain_is_wanted() -> None:
    pool = SequencePool(100)
    for said in ([9, 2, 3, 5, 1], [8, 2, 3, 6, 1], [7, 2, 3, 6, 2]):
        pool.extend(NOTHING, said)
    draft = pool.guess([2, 3], 9, "", factor=2, offset=1, least=0.0, is_chain=True)
    assert draft.is_chain
    assert draft.tokens[0] == 6
