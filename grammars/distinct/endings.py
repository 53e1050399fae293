"""Whether texts with open arrays of distinct items can be completed, and how."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from guided.grammars.distinct.items import Items, RepeatedItemError
from guided.grammars.distinct.values import Match
from guided.grammars.memo import Parser
from guided.grammars.token_engine import TokenEngine
from guided.kernels.ways import shortest_path

#: Places looked at before a search gives up.
_LIMIT = 400
#: Items of a completion.
_MOST_ITEMS = 1 << 14
#: Bytes that are tried at a place where many are possible.
_BRANCHES = 12
_USUAL = b'"0123456789abcdefghijklmnopqrstuvwxyz}],:'
_LONGEST = 1 << 16


class Place(NamedTuple):
    """A configuration and the open arrays."""

    config: int
    items: Items


class Endings:
    """Looks for completions in which no item is repeated.

    `scarce`: an item may use up what later ones need, so that only whole completions prove
    anything. What they need are `needed`, and earlier items.
    """

    def __init__(self, engine: TokenEngine, scarce: bool, needed: Sequence[Any]) -> None:
        self.engine = engine
        self.scarce = scarce
        self.needed = needed
        self._moves: dict[int, list[tuple[bytes, int]]] = {}

    def after(self, place: Place, data: bytes) -> Place | None:
        """The place after `data`, None where it is illegal or repeats an item."""
        config = self.engine.parser.walk(place.config, data)[0]
        return None if config == 0 else self.reached(place, data, config)

    def reached(self, place: Place, data: bytes, config: int) -> Place | None:
        """The place after `data`, which leads to `config`; None where that repeats an item."""
        if not place.items.are_open and b"[" not in data:
            return Place(config, place.items)
        parser = self.engine.parser

        def opens(index: int) -> bool:
            return parser.opens_distinct(parser.walk(place.config, data[:index])[0])

        try:
            return Place(config, place.items.after(data, opens))
        except RepeatedItemError:
            return None

    def is_plain(self, place: Place) -> bool:
        """Whether any completion of the text will do, as far as the open items are concerned."""
        if not place.items.are_open:
            return True
        return not self.scarce if place.items.between else not self.matches(place)

    def matches(self, place: Place) -> tuple[Match, ...]:
        """What the open items may still become equal to."""
        return place.items.matches(self.needed)

    def exists(self, place: Place) -> bool:
        """Whether a completion is known to exist."""
        if self.is_plain(place):
            return True
        if not self.scarce and not self.engine.careful and self._may_differ(place):
            return True
        if self.scarce:
            return self.short(place) is not None
        return self._search(place, to_the_end=False) is not None

    def _may_differ(self, place: Place) -> bool:
        """Whether a byte may come next after which no item can be an earlier one."""
        expected: set[int] = set()
        for found in self.matches(place):
            expected |= found.following
        return any(b not in expected for b in self.engine.parser.live_bytes(place.config))

    def short(self, place: Place) -> list[bytes] | None:
        """A short completion in pieces that tokens spell, None where none is found."""
        found = self._item_by_item(place)
        if found is None and self.scarce:
            return self._search(place, to_the_end=True)
        return found

    def _item_by_item(self, place: Place) -> list[bytes] | None:
        """A completion of the shortest items, as far as the one leaves the next ones a choice."""
        found: list[bytes] = []
        at: Place | None = place
        for _ in range(_MOST_ITEMS):
            if at is None:
                return None
            rest = self._finished(at, to_the_end=True)
            if rest is not None:
                return found + rest
            pieces = self._search(at, to_the_end=True, item_by_item=True)
            if pieces is None:
                return None
            found += pieces
            at = self.after(at, b"".join(pieces))
        return None

    def _search(
        self, place: Place, *, to_the_end: bool, item_by_item: bool = False
    ) -> list[bytes] | None:
        distance = self.engine.parser.distance
        origin: list[tuple[int, bytes]] = [(-1, b"")]
        places = [place]
        queue = [(distance(place.config), 0, 0)]
        known = {(place.config, place.items.key)}
        for _ in range(_LIMIT):
            if not queue:
                return None
            _, length, number = heapq.heappop(queue)
            length = -length
            at = places[number]
            if item_by_item and at.items.is_beyond(place.items):
                return _way(origin, number)
            rest = self._finished(at, to_the_end)
            if rest is not None:
                return [*_way(origin, number), *rest]
            for data, config in self._next(at):
                found = self.reached(at, data, config)
                if found is None or (key := (config, found.items.key)) in known:
                    continue
                known.add(key)
                origin.append((number, data))
                places.append(found)
                far = length + len(data)
                heapq.heappush(queue, (far + distance(config), -far, len(places) - 1))
        return None

    def _finished(self, at: Place, to_the_end: bool) -> list[bytes] | None:
        """What completes the text where that is plain to see."""
        if not to_the_end and self.is_plain(at):
            return []
        if self.engine.parser.is_accepting(at.config):
            return []
        if self.engine.careful:
            if at.items.are_open:
                return None
            tokens = self.engine.completion(at.config)
            spelled = [self.engine.vocabulary.grammar_bytes(token) or b"" for token in tokens]
            found: Place | None = at
            for data in spelled:
                found = None if found is None else self.after(found, data)
            return None if found is None else spelled
        path = self._path(at.config)
        end = self.after(at, path)
        if end is None or not self.engine.parser.is_accepting(end.config):
            return None
        return [path]

    def _path(self, config: int) -> bytes:
        room = np.empty(min(_LONGEST, self.engine.parser.distance(config) + 1), np.uint8)
        _, count = self.engine.parser.call(shortest_path, config, room)
        return room[:count].tobytes()

    def _next(self, at: Place) -> list[tuple[bytes, int]]:
        found = self._moves.get(at.config)
        if found is None:
            if len(self._moves) > 4096:
                self._moves.clear()
            found = self._moves[at.config] = list(
                self._tokens(at.config) if self.engine.careful else self._bytes(at.config)
            )
        return found

    def _tokens(self, config: int) -> Iterator[tuple[bytes, int]]:
        tokens, targets = self.engine.successors(config)
        for token, target in zip(tokens.tolist(), targets.tolist(), strict=True):
            data = self.engine.vocabulary.grammar_bytes(token)
            if data is not None and self.engine.after(config, token):
                yield data, target

    def _bytes(self, config: int) -> Iterator[tuple[bytes, int]]:
        parser: Parser = self.engine.parser
        live = parser.live_bytes(config)
        if len(live) > _BRANCHES:
            usual = [byte for byte in _USUAL if byte in live]
            live = usual[:1] + usual[1:] if len(usual) > 2 else live[:_BRANCHES]
        for byte in live:
            data = bytes((byte,))
            target = parser.walk(config, data)[0]
            if target:
                yield data, target


def _way(origin: list[tuple[int, bytes]], number: int) -> list[bytes]:
    pieces: list[bytes] = []
    while number > 0:
        number, data = origin[number]
        pieces.append(data)
    return pieces[::-1]
