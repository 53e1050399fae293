"""Chains of a small Llama for the branches of a request, each by one call of a kernel."""

from __future__ import annotations

import time
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from guided.decoding.branch import Branch
from guided.decoding.cost import Mean
from guided.decoding.drafters.protocol import Request
from guided.decoding.drafters.small_llama import SmallLlama
from guided.decoding.drafts import Draft, source_number
from guided.decoding.rng import Purpose, uniform
from guided.decoding.sampling import Greedy, Plain

#: Branches whose keys and values are kept; of more those that came first are read again.
_MOST_ROWS = 64
#: Room that a text gets ahead of its length.
_AHEAD = 64
#: The least chance of a chain to go on with where it is not known what pays, and its bounds. One
#: token more costs the large model, whose pass it widens, about as much as it has cost to draw.
_LEAST, _BOUNDS, _COST = 0.25, (0.05, 0.95), 2.0


class _Read:
    """What was read of a branch's text.

    Attributes:
        ids: int64, the text, and behind it what was drafted last.
        settled: tokens that the branch has said (prompt included) as far as it is known here.
        read: how many of `ids` are in the cache.
    """

    __slots__ = ("cache", "ids", "read", "settled")

    def __init__(self, network: SmallLlama, text: NDArray[np.int64]) -> None:
        places = len(text) + _AHEAD
        self.ids = np.empty(places, np.int64)
        self.ids[: len(text)] = text
        self.cache = network.cache(places)
        self.settled, self.read = len(text), 0

    def take(self, other: _Read) -> None:
        """Takes over what another text has in common, if that is more than was read."""
        most = min(other.read, self.settled)
        differs = self.ids[:most] != other.ids[:most]
        same = int(differs.argmax()) if differs.any() else most
        if same > self.read:
            self.cache[:, :, self.read : same] = other.cache[:, :, self.read : same]
            self.read = same

    def follow(self, tokens: Sequence[int]) -> None:
        """Adds what the branch has said; where something else was drafted it is forgotten."""
        at = self.settled
        for token in tokens:
            if at < self.read and self.ids[at] != token:
                self.read = at
            self.ids[at] = token
            at += 1
        self.settled = at

    def reserve(self, network: SmallLlama, places: int) -> None:
        """Makes room for so many tokens."""
        if places <= len(self.ids):
            return
        ids, cache, held = self.ids, self.cache, max(self.read, self.settled)
        self.ids, self.cache = np.empty(places + _AHEAD, np.int64), network.cache(places + _AHEAD)
        self.ids[:held] = ids[:held]
        self.cache[:, :, : self.read] = cache[:, :, : self.read]


class QuickChains:
    """Draws what `DraftModel` would, where nothing but a temperature changes the law.

    Args:
        network: of the draft model.
        stop_ids: tokens that are not drafted.
    """

    def __init__(self, network: SmallLlama, stop_ids: frozenset[int], name: str) -> None:
        self.network = network
        #: The most tokens that one chain has taken, and all that were read, in every round so far.
        self.passes = self.positions = 0
        #: Seconds that a token takes to be read and drawn.
        self._seconds = Mean()
        self._stops = np.array(sorted(stop_ids), np.int64)
        self._source = source_number(name)
        self._rows: WeakKeyDictionary[Branch, _Read] = WeakKeyDictionary()

    @staticmethod
    def can(request: Request) -> bool:
        """Whether a request is one for these."""
        if request.keeps_laws or request.purpose is not Purpose.TOKEN:
            return False
        if type(request.sampler) not in (Plain, Greedy):
            return False
        plains = [branch.pipeline.plain for branch in request.branches]
        return all(plain is not None and plain.mask is None for plain in plains)

    def drafts(self, request: Request, room: Sequence[int]) -> list[Draft]:
        """A chain of at most `room` tokens for each branch."""
        began, before = time.perf_counter(), self.positions
        is_random, least = request.sampler.is_random, self._least(request)
        found = [
            self._draft(branch, most, is_random, least) if most > 0 else Draft()
            for branch, most in zip(request.branches, room, strict=True)
        ]
        self.passes += max(map(len, found))
        if self.positions > before:
            self._seconds.add((time.perf_counter() - began) / (self.positions - before))
        return found

    def _least(self, request: Request) -> float:
        """The chance of a chain below which a token more costs the batch more than it saves."""
        if not request.pass_seconds or self._seconds.value is None:
            return _LEAST
        rows, (low, high) = len(request.branches), _BOUNDS
        return min(high, max(low, rows * _COST * self._seconds.value / request.pass_seconds))

    def forget(self, branch: Branch) -> None:
        """Gives up what is kept of a branch."""
        self._rows.pop(branch, None)

    def _draft(self, branch: Branch, most: int, is_random: bool, least: float) -> Draft:
        row = self._row(branch, most)
        begin, at, plain = row.settled, len(branch.tokens), branch.pipeline.plain
        numbers = np.zeros(most)
        if is_random:
            for i in range(most):
                numbers[i] = uniform(branch.seed, branch.row, at + i)
        temperature = plain.temperature if is_random and plain is not None else 0.0
        before = min(row.read, begin - 1)
        tokens, chances = self.network.guess(
            row.ids[:begin], before, row.cache, temperature, numbers, self._stops, least
        )
        count = len(tokens)
        row.ids[begin : begin + count] = tokens
        row.read = begin + max(0, count - 1)
        self.positions += row.read - before
        nodes = np.empty((count, 3), np.int64)
        nodes[:, 0], nodes[:, 1], nodes[:, 2] = tokens, np.arange(-1, count - 1), self._source
        return Draft.of(nodes, chances)

    def _row(self, branch: Branch, most: int) -> _Read:
        """What is known of a branch, with room for so many more tokens."""
        row = self._rows.get(branch)
        if row is None:
            row = self._new(branch)
        else:
            row.reserve(self.network, len(branch.prompt) + len(branch.tokens) + most)
            row.follow(self._readable(branch.tokens[row.settled - len(branch.prompt) :]))
        row.reserve(self.network, row.settled + most)
        return row

    def _new(self, branch: Branch) -> _Read:
        """That of a branch that was not seen before; it may begin like others."""
        text = np.array(self._readable([*branch.prompt, *branch.tokens]), np.int64)
        row = _Read(self.network, text)
        for other in self._rows.values():
            row.take(other)
        while len(self._rows) >= _MOST_ROWS:
            del self._rows[next(iter(self._rows))]
        self._rows[branch] = row
        return row

    def _readable(self, tokens: Sequence[int]) -> Sequence[int]:
        """The tokens, without such that only the large model has."""
        most = self.network.readable
        return tokens if max(tokens, default=0) < most else [min(t, most - 1) for t in tokens]
