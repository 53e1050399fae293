"""A bounded pool of token sequences in which the ends of other sequences are looked up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

#: Bits of a token id within the key of an n-gram, which is exact.
_BITS = 32
#: Lengths of the n-grams in the table, longest first.
_ORDERS = (4, 2, 1)
#: Places kept of one n-gram, the latest ones.
_PLACES = 32
#: Tokens up to which a match is followed backwards.
_LONGEST = 32

#: A sequence's number and an index in it.
Place = tuple[int, int]


class SequencePool:
    """Growing sequences, the oldest dropped when there are more than `capacity` tokens."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.n_tokens = 0
        self._numbers = count()
        self._sequences: dict[int, list[int]] = {}
        self._table: dict[int, list[Place]] = {}
        #: Tokens of forgotten sequences since the last sweep.
        self._stale = 0

    def __contains__(self, number: int) -> bool:
        return number in self._sequences

    @property
    def n_entries(self) -> int:
        """Places in the table, those of forgotten sequences among them until the next sweep."""
        return sum(map(len, self._table.values()))

    def open(self, context: Sequence[int]) -> int:
        """The number of a new sequence that goes on from `context`."""
        number = next(self._numbers)
        self._sequences[number] = list(context)
        self.n_tokens += len(context)
        return number

    def extend(self, number: int, tokens: Sequence[int]) -> None:
        """Adds tokens to a sequence; older sequences make room for them."""
        sequence = self._sequences[number]
        for token in tokens:
            for key in _keys(sequence):
                places = self._table.setdefault(key, [])
                places.append((number, len(sequence)))
                if len(places) > _PLACES:
                    del places[0]
            sequence.append(token)
        self.n_tokens += len(tokens)
        while self.n_tokens > self.capacity:
            self._drop(next(iter(self._sequences)))

    def _drop(self, number: int) -> None:
        """Forgets a sequence; what the table still says of it goes with the next sweep."""
        length = len(self._sequences.pop(number))
        self.n_tokens -= length
        self._stale += length
        if self._stale > self.capacity:
            self._sweep()

    def _sweep(self) -> None:
        """Takes the places of forgotten sequences out of the table.

        Once for many sequences: one by one costs as much as the rest of the pool.
        """
        self._stale = 0
        live = self._sequences
        kept = {
            key: [place for place in places if place[0] in live]
            for key, places in self._table.items()
        }
        self._table = {key: places for key, places in kept.items() if places}

    def after(self, said: Sequence[int]) -> tuple[int, list[Place]]:
        """(tokens that match, places after them): where the end of `said` stood before.

        The longest match counts; of those that are long all count alike.
        """
        for key in _keys(said):
            live = self._sequences
            places = [place for place in self._table.get(key, ()) if place[0] in live]
            if places:
                lengths = [self._matched(said, place) for place in places]
                longest = max(lengths)
                enough = min(longest, 2 * _ORDERS[0])
                chosen = zip(places, lengths, strict=True)
                return longest, [place for place, length in chosen if length >= enough]
        return 0, []

    def _matched(self, said: Sequence[int], place: Place) -> int:
        sequence, at = self._sequences[place[0]], place[1]
        most = min(len(said), at, _LONGEST)
        for length in range(most):
            if sequence[at - 1 - length] != said[-1 - length]:
                return length
        return most

    def token(self, place: Place) -> int:
        """The token at a place, -1 where the sequence ends before it."""
        sequence = self._sequences[place[0]]
        return sequence[place[1]] if place[1] < len(sequence) else -1


def _keys(tokens: Sequence[int]) -> Iterator[int]:
    """The keys of the n-grams at the end of `tokens`, the longest first."""
    for order in _ORDERS:
        if order <= len(tokens):
            key = 0
            for token in tokens[-order:]:
                key = key << _BITS | (token + 1)
            yield key
