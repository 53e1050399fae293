"""Tokens in the order of their bytes: those with a common beginning stand side by side."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: The number of symbols that a next-byte law is over: the bytes, and the end.
N_SYMBOLS = 257
END = 256
#: Ranges that are remembered, and those of which the groups by the next byte are.
_KEPT, _KEPT_GROUPS = 1 << 15, 1 << 10


class Range(NamedTuple):
    """The tokens that begin with some `depth` bytes: those from `low` up to `high`."""

    low: int
    high: int
    depth: int


class Spelling:
    """Some tokens, sorted by their bytes.

    Attributes:
        ids: int64 `[n]`.
        matrix: uint8 `[n, longest]`, zeros after the end of each.
        lengths: `[n]`.
        is_foreign: bool `[n]`, tokens that stand for a byte of a character without token.
    """

    def __init__(self, tokens: Mapping[int, bytes], foreign: frozenset[int] = frozenset()) -> None:
        order = sorted(tokens, key=lambda token: (tokens[token], token))
        self.ids = np.array(order, np.int64)
        self.lengths = np.array([len(tokens[token]) for token in order], np.int64)
        self.matrix = np.zeros((len(order), int(self.lengths.max(initial=1))), np.uint8)
        columns = np.arange(self.matrix.shape[1])
        self.matrix[columns < self.lengths[:, None]] = np.frombuffer(
            b"".join(tokens[token] for token in order), np.uint8
        )
        self.is_foreign = np.isin(self.ids, list(foreign))
        self.bytes = tokens
        # Texts come back to the same few ranges.
        self.narrowed = lru_cache(_KEPT)(self._narrowed)
        self.longer = lru_cache(_KEPT)(self._longer)
        self._groups = lru_cache(_KEPT_GROUPS)(self._groups_uncached)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def all(self) -> Range:
        """The range of all tokens."""
        return Range(0, len(self), 0)

    def _narrowed(self, some: Range, byte: int) -> Range:
        """Those of a range that go on with `byte`."""
        column = self.matrix[:, some.depth] if some.depth < self.matrix.shape[1] else None
        low = self.longer(some)
        if column is None or low >= some.high:
            return Range(some.high, some.high, some.depth + 1)
        inside = column[low : some.high]
        begin, end = np.searchsorted(inside, [byte, byte + 1])
        return Range(low + int(begin), low + int(end), some.depth + 1)

    def _longer(self, some: Range) -> int:
        """Where the tokens of a range begin that are longer than what they have in common."""
        at = some.low
        while at < some.high and self.lengths[at] == some.depth:
            at += 1
        return at

    def next_bytes(self, some: Range, log_p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log of the mass `[257]` of a range by its tokens' next byte.

        Args:
            log_p: `[n]`, of all tokens in their order.
        """
        found = np.full(N_SYMBOLS, -np.inf)
        low = self.longer(some)
        if some.high - low == 1:
            found[self.matrix[low, some.depth]] = log_p[low]
            return found
        inside = log_p[low : some.high]
        if not inside.size:
            return found
        starts, symbols = self._groups(some)
        # Each group by its own likeliest token, so that none is too small for a number.
        most = np.maximum.reduceat(inside, starts)
        most[most == -np.inf] = 0.0
        each = np.repeat(most, np.diff(starts, append=len(inside)))
        sums = np.add.reduceat(np.exp(inside - each), starts)
        with np.errstate(divide="ignore"):
            found[symbols] = np.log(sums) + most
        return found

    def add_next_bytes(
        self, some: Range, p: NDArray[np.float64], weight: float, mass: NDArray[np.float64]
    ) -> None:
        """Adds `weight` times the mass of a range by its tokens' next byte to `mass [257]`.

        Args:
            p: `[n]`, probabilities of all tokens in their order.
        """
        low = self.longer(some)
        if some.high - low == 1:
            mass[self.matrix[low, some.depth]] += weight * p[low]
        elif low < some.high:
            starts, symbols = self._groups(some)
            mass[symbols] += weight * np.add.reduceat(p[low : some.high], starts)

    def _groups_uncached(self, some: Range) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
        """Where, among the longer tokens of a range, those with one next byte begin; that byte."""
        column = self.matrix[self.longer(some) : some.high, some.depth]
        starts = np.flatnonzero(np.concatenate(([True], column[1:] != column[:-1])))
        return starts, column[starts]
