"""Rows of a model that takes no slots or trees: its own cache, padded on the left.

Such rows grow in step, so nothing is drafted, except for a single row whose cache can be cropped.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from torch import Tensor

from guided.decoding.masks import Feed
from guided.decoding.memory import Memory, join
from guided.decoding.network import Network
from guided.decoding.reading import Reading, token_log_p
from guided.decoding.trunks import Ledger, Place
from guided.decoding.usage import Usage


class PaddedStage:
    """What `Stage` does, over a batch of left-padded rows."""

    def __init__(self, network: Network, usage: Usage, ledger: Ledger) -> None:
        self.network = network
        self.usage = usage
        self.ledger = ledger
        self.memory: Memory | None = None
        self.busy = 0
        self._places: list[weakref.ref[Place]] = []

    def __len__(self) -> int:
        return len(self._places)

    @property
    def drafts(self) -> str:
        """What may be drafted now: "chain" or "none"."""
        return "chain" if self.memory is not None and self.memory.can_crop else "none"

    def read(self, rows: Sequence[Sequence[int]], scored: bool = False) -> Reading:
        """New rows, at rest; `scored` asks for the log-probabilities of their tokens too."""
        for row in rows:
            self.ledger.check(
                self.network.bytes_per_token * len(row), f"a prompt of {len(row)} tokens"
            )
        kept = max(map(len, rows)) if scored else 1
        memory, logits = Memory.read(self.network, self.usage, rows, kept)
        places = [Place(trunk=(memory, row)) for row in range(len(rows))]
        return Reading(places, logits[:, -1], token_log_p(logits, rows) if scored else None)

    def arrange(self, places: Sequence[Place]) -> list[int]:
        """Makes the rows exactly those of `places`; row r is that of `places[order[r]]`."""
        if [ref() for ref in self._places] != list(places):
            self._rest()
            rests = [place.trunk for place in places]
            self.memory = join([rest for rest in rests if isinstance(rest, tuple)])
            self._places = [weakref.ref(place) for place in places]
            for row, place in enumerate(places):
                place.row, place.trunk = row, None
        self.busy = len(places)
        return list(range(len(places)))

    def _rest(self) -> None:
        if self.memory is None:
            return
        kept = self.memory.snapshot()
        for row, ref in enumerate(self._places):
            if (place := ref()) is not None:
                place.row, place.trunk = None, (kept, row)
        self.memory, self._places = None, []

    def freeze(self, place: Place) -> None:
        """Puts a row to rest; the last row takes its number."""
        if place.row is not None:
            self.drop(place.row, keep=True)

    def drop(self, row: int, keep: bool = False) -> None:
        """Removes a row; the last row takes its number. `keep` puts its place to rest."""
        if self.memory is None:
            raise IndexError(row)
        place = self._places[row]()
        if place is not None:
            place.row = None
            place.trunk = (self.memory.snapshot(), row) if keep else None
        staying = list(range(len(self)))
        staying[row] = staying[-1]
        staying.pop()
        self.memory = self.memory.select(staying) if staying else None
        self._places = [self._places[index] for index in staying]
        if row < len(self._places) and (moved := self._places[row]()) is not None:
            moved.row = row

    def forward(self, feeds: Sequence[Feed]) -> Tensor:
        """The logits `[n, q, V]` after every new token; every row has equally many, one by one."""
        if self.memory is None:
            raise IndexError("no rows")
        return self.memory.append([list(feed.tokens) for feed in feeds])

    def pin(self, place: Place) -> None:
        """Nothing is ever evicted here."""

    def fits(self, columns: int) -> bool:
        """Whether one more row of so many tokens stays within the limit."""
        limit, widest = self.ledger.limit, columns
        if self.memory is not None:
            widest = max(columns, self.memory.columns)
        return limit is None or widest * (len(self) + 1) * self.network.bytes_per_token <= limit

    def lacks_room(self) -> bool:
        """Whether one more token for each row exceeds the limit."""
        limit = self.ledger.limit
        if limit is None or self.memory is None:
            return False
        tokens = (self.memory.columns + 1) * len(self)
        return tokens * self.network.bytes_per_token > limit

    def commit(self, row: int, kept: Sequence[int]) -> None:
        """Keeps the first tokens of the last pass; the others are cropped."""
        if self.memory is not None and (extra := self.memory.last - len(kept)):
            self.memory.crop(extra)
