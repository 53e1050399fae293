"""Sets of token n-grams, asked which token would complete one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from guided.errors import ControlError

Ngram = tuple[int, ...]


class NgramSet(Protocol):
    """Knows some n-grams of one length."""

    n: int

    def completing(self, before: Ngram, width: int) -> NDArray[np.int64]:
        """The tokens below `width` that complete an n-gram after these n - 1 tokens, ascending."""
        ...


def windows(texts: Iterable[Sequence[int]], n: int) -> set[Ngram]:
    """All n-grams of token sequences."""
    found: set[Ngram] = set()
    for text in texts:
        tokens = tuple(int(token) for token in text)
        found.update(tokens[at : at + n] for at in range(len(tokens) - n + 1))
    return found


def check_ngrams(ngrams: Iterable[Sequence[int]], n: int) -> set[Ngram]:
    """The n-grams as tuples.

    Raises:
        ControlError: n below 1, none at all, or one of another length.
    """
    if n < 1:
        raise ControlError(f"n must be at least 1 token, not {n}")
    found = {tuple(int(token) for token in ngram) for ngram in ngrams}
    if not found:
        raise ControlError("there are no n-grams to block; texts need at least n tokens")
    for ngram in found:
        if len(ngram) != n or min(ngram) < 0:
            raise ControlError(f"{ngram} is no {n}-gram of token ids")
    return found


class ExactNgrams:
    """A set of n-grams by their first n - 1 tokens."""

    def __init__(self, ngrams: Iterable[Sequence[int]], n: int) -> None:
        self.n = n
        table: dict[Ngram, list[int]] = {}
        for ngram in check_ngrams(ngrams, n):
            table.setdefault(ngram[:-1], []).append(ngram[-1])
        self._table = {key: np.array(sorted(last), np.int64) for key, last in table.items()}

    def completing(self, before: Ngram, width: int) -> NDArray[np.int64]:
        found = self._table.get(before)
        return np.empty(0, np.int64) if found is None else found[found < width]


class BloomNgrams:
    """A Bloom filter of n-grams: much smaller, and wrong about a few that it does not hold.

    What it holds it always finds. Bits and hashes are the usual ones for the rate: m = -N ln r /
    (ln 2)^2 bits for N entries, (m / N) ln 2 hashes. The n-grams' beginnings are entries too, so
    that nothing has to be tried after most texts; that makes false positives rarer still.

    Args:
        rate: of the n-grams that it does not hold, the most that it takes for one that it does.

    Raises:
        ControlError: a rate outside of (0, 1), or what `check_ngrams` refuses.
    """

    def __init__(self, ngrams: Iterable[Sequence[int]], n: int, rate: float = 1e-4) -> None:
        if not 0 < rate < 1:
            raise ControlError(f"the rate of false positives must be in (0, 1), not {rate}")
        known = sorted(check_ngrams(ngrams, n))
        self.n, self.rate = n, rate
        keys = np.array([_hash(ngram[:-1]) for ngram in known], np.uint64)
        last = np.array([ngram[-1] for ngram in known], np.uint64)
        entries = np.unique(np.concatenate([_whole(keys, last), _beginning(keys)]))
        bits = max(64, math.ceil(-len(entries) * math.log(rate) / math.log(2) ** 2))
        self.hashes = max(1, round(bits / len(entries) * math.log(2)))
        self._bits = np.uint64(bits)
        self._words = np.zeros((bits + 63) // 64, np.uint64)
        for number in range(self.hashes):
            at = self._places(entries, number)
            np.bitwise_or.at(self._words, at >> np.uint64(6), _ONE << (at & np.uint64(63)))

    @property
    def n_bytes(self) -> int:
        """Bytes of the filter."""
        return int(self._words.nbytes)

    def completing(self, before: Ngram, width: int) -> NDArray[np.int64]:
        nothing = np.empty(0, np.int64)
        if len(before) < self.n - 1:
            return nothing
        key = np.array([_hash(before)], np.uint64)
        if not len(self._held(_beginning(key))):
            return nothing
        return self._held(_whole(key, np.arange(width, dtype=np.uint64)))

    def _held(self, entries: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Which of some entries seem to be in the filter."""
        left = np.arange(len(entries))
        for number in range(self.hashes):
            at = self._places(entries[left], number)
            left = left[(self._words[at >> np.uint64(6)] >> (at & np.uint64(63))) & _ONE == _ONE]
        return left.astype(np.int64)

    def _places(self, entries: NDArray[np.uint64], number: int) -> NDArray[np.uint64]:
        """The bits of entries for one hash: h_1 + i h_2 (Kirsch and Mitzenmacher 2006)."""
        step = _mixed(entries + _GOLDEN) | _ONE
        return (entries + np.uint64(number) * step) % self._bits


_ONE = np.uint64(1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _hash(tokens: Ngram) -> int:
    found = np.zeros(1, np.uint64)
    for token in tokens:
        found = _mixed(found + _GOLDEN + np.uint64(token))
    return int(found[0])


def _whole(keys: NDArray[np.uint64], last: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return _mixed(keys ^ _mixed(last + _ONE))


def _beginning(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return _mixed(keys + _ONE)
