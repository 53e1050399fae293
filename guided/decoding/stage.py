"""The rows of one network that are being decoded, with their keys and values."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from guided.decoding.attention import SharedPrefix
from guided.decoding.masks import Feed, lay_out, to_device
from guided.decoding.network import Network
from guided.decoding.reading import (
    MOST_LOGITS,
    Reading,
    following_log_p,
    grouped,
    token_log_p,
)
from guided.decoding.slots import SlotCache, Window
from guided.decoding.trunks import Ledger, Place, Trunk
from guided.decoding.usage import Usage

#: A shared piece is attended to in one place if its length times its branches reaches this.
SHARE_LEAST = 4096


class Stage:
    """Rows in slots. Every row belongs to a `Place`; row r is `places[r]`."""

    def __init__(self, network: Network, usage: Usage, ledger: Ledger, shares: bool = True) -> None:
        self.network = network
        # Asking the model takes a walk over its parameters.
        self.device = network.device
        network.look_at_attention()
        self.usage = usage
        self.ledger = ledger
        self.shares = shares
        self.share_least = SHARE_LEAST
        self.cache = SlotCache()
        self.cache.is_tight = ledger.limit is not None
        self.lengths: list[int] = []
        self.trunks: list[Trunk | None] = []
        self._places: list[weakref.ref[Place]] = []
        self._counted = 0
        #: Rows, the first ones, that are being grown.
        self.busy = 0
        self._resting: dict[int, weakref.ref[Place]] = {}

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def drafts(self) -> str:
        """What may be drafted: "tree", "chain" or "none"."""
        return "tree"

    # --- rows come and go

    def read(self, rows: Sequence[Sequence[int]], scored: bool = False) -> Reading:
        """New rows at the end; `scored` asks for the log-probabilities of their tokens too."""
        places: list[Place] = []
        logits: list[Tensor] = []
        log_p: list[list[float]] = []
        for row in rows:
            self._check_room(row)
        self._make_room(len(rows), max(map(len, rows)))
        width = self.network.width if scored else 0
        for group in grouped(rows, width):
            places += [self._append(None) for _ in group]
            begin = len(self) - len(group)
            if scored and len(group) == 1 and len(group[0]) * width > MOST_LOGITS:
                last, found = self._read_in_pieces(group[0], begin)
                logits.append(last)
                log_p.append(found)
                continue
            read = self._read(group, begin, kept=0 if scored else 1)
            logits.append(read[:, -1])
            if scored:
                log_p += token_log_p(read, group)
        last = torch.cat(logits) if len(logits) > 1 else logits[0]
        return Reading(places, last, log_p if scored else None)

    def _read_in_pieces(self, row: Sequence[int], begin: int) -> tuple[Tensor, list[float]]:
        """A new row too long for all of its logits: those `[1, V]` after it, its tokens' log p."""
        step = max(1, MOST_LOGITS // self.network.width)
        device = self.device
        log_p: list[float] = []
        for start in range(0, len(row), step):
            tokens = row[start : start + step]
            end = start + len(tokens)
            positions = torch.arange(start, end, device=device)[None]
            columns = torch.arange(end, device=device)
            mask = (columns[None] <= positions[0][:, None])[None, None]
            self.cache.aim(Window(begin, begin + 1, end, start))
            self._count()
            ids = torch.tensor([list(tokens)], device=device)
            logits = self._run(ids, mask, positions, (), 0, len(tokens))
            log_p += following_log_p(logits[0], row[start + 1 : end + 1])
            self.lengths[begin] = end
        return logits[:, -1], log_p

    def _read(self, group: Sequence[Sequence[int]], begin: int, kept: int) -> Tensor:
        """One pass over new rows, which stand at the right, so that all end in the last column.

        Returns the logits `[n, kept or q, V]` of the last columns.
        """
        width, device = max(map(len, group)), self.device
        # By numpy: where little is made, torch takes many times as long.
        at = to_device(np.arange(width)[None], device)
        rows = [[0] * (width - len(row)) + list(row) for row in group]
        ids = to_device(np.array(rows, np.int64), device)
        if min(map(len, group)) == width:
            self.cache.aim(Window(begin, len(self), width, 0))
            positions, mask = at.expand(len(group), width) if len(group) > 1 else at, None
        else:
            pads = torch.tensor([width - len(row) for row in group], device=device)[:, None]
            # Padding goes into the slots after the row, where later tokens overwrite it.
            slots = torch.where(at < pads, width - pads + at, at - pads)
            self.cache.aim(Window(begin, len(self), width, None, slots))
            positions = (at - pads).clamp(min=0)
            mask = (at[:, None] == slots[:, :, None]) | (
                (at[:, None] <= slots[:, :, None]) & (at >= pads)[:, :, None]
            )
            mask = mask[:, None]
        self._count()
        logits = self._run(ids, mask, positions, (), kept, sum(map(len, group)))
        for row, tokens in enumerate(group, start=begin):
            self.lengths[row] = len(tokens)
        return logits

    def _check_room(self, row: Sequence[int]) -> None:
        self.ledger.check(self.network.bytes_per_token * len(row), f"a prompt of {len(row)} tokens")

    def pin(self, place: Place) -> None:
        """Keeps a place at rest from being evicted until it has rested anew."""
        self._resting.pop(id(place), None)

    def arrange(self, places: Sequence[Place]) -> list[int]:
        """Makes the stage's rows exactly those of `places`, none of which was evicted.

        Returns the order of the rows: row r is that of `places[order[r]]`.
        """
        wanted = {id(place): index for index, place in enumerate(places)}
        for place in places:
            self.pin(place)
        for row in range(len(self) - 1, -1, -1):
            tenant = self._places[row]()
            if tenant is None or id(tenant) not in wanted:
                self.drop(row, keep=True)
        order = [wanted[id(self._places[row]())] for row in range(len(self))]
        if self.ledger.limit is None:
            self._reserve([place.trunk for place in places if place.row is None])
        for index, place in enumerate(places):
            if place.row is None:
                self._enter(place)
                order.append(index)
        self.busy = len(self)
        return order

    def _reserve(self, trunks: Sequence[Trunk | None]) -> None:
        """Makes room for rows that enter, all at once: growing buffers copies what they hold."""
        lengths = [
            trunk.total - (shared.total if (shared := self._shared_part(trunk)) else 0)
            for trunk in trunks
            if trunk is not None
        ]
        if lengths:
            self.cache.reserve(len(self) + len(trunks), max(lengths))
            self._count()

    def _enter(self, place: Place) -> None:
        trunk = place.trunk
        if trunk is None:
            raise ValueError("an evicted place has to be read again")
        shared = self._shared_part(trunk)
        begin = shared.total if shared is not None else 0
        row = len(self)
        if self.ledger.limit is not None:
            self._has_room(self.cache.bytes_for(row + 1, trunk.total - begin) - self.cache.n_bytes)
        self.cache.reserve(row + 1, trunk.total - begin)
        self._append(shared, place)
        at = 0
        for piece in trunk.chain():
            if piece.total > begin:
                self.cache.put(row, at, piece.layers)
                at += piece.length
        self.lengths[row] = at
        place.trunk = None
        self._count()

    def _shared_part(self, trunk: Trunk) -> Trunk | None:
        """The longest beginning worth sharing.

        Short pieces on top of it are copied into the row: each would be one more part of every
        layer's attention, and a path of many forks has one for every fork.
        """
        if not self.shares:
            return None
        best: Trunk | None = None
        for piece in trunk.chain():
            if piece.users < 2:
                break
            if piece.length * piece.users >= self.share_least:
                best = piece
        return best

    def _append(self, trunk: Trunk | None, place: Place | None = None) -> Place:
        place = place if place is not None else Place()
        place.row = len(self)
        self.lengths.append(0)
        self.trunks.append(trunk)
        self._places.append(weakref.ref(place))
        return place

    def split(self, place: Place, length: int) -> Place | None:
        """A new row, the last one, with the first `length` tokens of a row.

        None where the place has no row, or shares a longer beginning with others.
        """
        if place.row is None:
            return None
        source, trunk = place.row, self.trunks[place.row]
        own = length - (trunk.total if trunk is not None else 0)
        if not 0 < own <= self.lengths[source]:
            return None
        if trunk is not None:
            trunk.share(1)
        target = len(self)
        self.cache.reserve(target + 1, own)
        made = self._append(trunk)
        self.cache.move(source, target, own)
        self.lengths[target] = own
        self._count()
        return made

    def freeze(self, place: Place) -> None:
        """Puts a row to rest; it leaves the stage, and the last row takes its number."""
        if place.row is not None:
            self.drop(place.row, keep=True)

    def drop(self, row: int, keep: bool = False) -> None:
        """Removes a row; the last row takes its number.

        `keep` puts its place to rest, if there is room; without it has to be read again.
        """
        place = self._places[row]()
        if place is not None:
            if keep and self._has_room(self.lengths[row] * self.network.bytes_per_token):
                place.trunk = self._at_rest(row)
                self._resting[id(place)] = weakref.ref(place)
            place.row = None
        last = len(self) - 1
        if row != last:
            self.cache.move(last, row, self.lengths[last])
            self.lengths[row], self.trunks[row] = self.lengths[last], self.trunks[last]
            self._places[row] = self._places[last]
            moved = self._places[row]()
            if moved is not None:
                moved.row = row
        for table in cast(list[list[Any]], [self.lengths, self.trunks, self._places]):
            table.pop()
        self.busy = min(self.busy, len(self))
        if not self.lengths:
            self.cache.shrink(0)
            self._count()

    def _at_rest(self, row: int) -> Trunk | None:
        if self.lengths[row] == 0:
            return self.trunks[row]
        layers = self.cache.take(row, self.lengths[row])
        return Trunk(layers, self.trunks[row], self.ledger)

    def rewind(self, row: int, count: int) -> None:
        """Takes back the last `count` tokens of a row that is being decoded."""
        self.lengths[row] -= count

    def lacks_room(self) -> bool:
        """Whether room for one more token in every row exceeds the limit, or has done so."""
        if self.ledger.limit is None or not len(self):
            return False
        need = self.cache.bytes_for(len(self), max(self.lengths) + 1) - self.cache.n_bytes
        return not self._has_room(need)

    def fits(self, columns: int) -> bool:
        """Whether one more row of so many tokens stays within the limit."""
        need = self.cache.bytes_for(len(self) + 1, columns) - self.cache.n_bytes
        return self._has_room(need)

    def _make_room(self, rows: int, columns: int) -> None:
        """Puts rows that nobody grows to rest where new rows would exceed the limit."""
        if self.ledger.limit is None:
            return
        while True:
            need = self.cache.bytes_for(len(self) + rows, columns) - self.cache.n_bytes
            if self._has_room(need) or len(self) <= self.busy:
                return
            self.drop(len(self) - 1, keep=True)

    def _has_room(self, need: int) -> bool:
        """Whether so many bytes may be taken, after giving up what can be given up."""
        if self.ledger.limit is None:
            return True
        if self.ledger.room() < need and self.cache.rows > len(self):
            self.cache.shrink(len(self))
            self._count()
        while self.ledger.room() < need and self._evict_oldest():
            pass
        return self.ledger.room() >= max(need, 0)

    def _evict_oldest(self) -> bool:
        """Evicts what has rested longest; False if nothing rests."""
        for key, ref in list(self._resting.items()):
            del self._resting[key]
            place = ref()
            if place is not None and place.row is None and place.trunk is not None:
                place.trunk = None
                return True
        return False

    # --- passes

    def forward(self, feeds: Sequence[Feed]) -> Tensor:
        """The logits `[n, q, V]` after every new token of every row, padded at the end."""
        lengths, device = self.lengths, self.device
        bases = lengths
        if any(self.trunks):
            bases = [
                length if trunk is None else length + trunk.total
                for length, trunk in zip(lengths, self.trunks, strict=True)
            ]
        widths = [len(feed) for feed in feeds]
        width, longest = max(widths), max(lengths)
        columns = longest + width
        is_even = min(lengths) == longest
        if is_even:
            self.cache.aim(Window(0, len(lengths), columns, longest))
        else:
            slots = np.array(lengths)[:, None] + np.arange(width)
            self.cache.aim(Window(0, len(lengths), columns, None, to_device(slots, device)))
        self._count()
        seen = None if is_even and width == 1 and self._is_near(columns) else columns
        ids, positions, mask = lay_out(feeds, width, bases, lengths, seen, device)
        return self._run(ids, mask, positions, self._prefixes(), 0, sum(widths))

    def _is_near(self, columns: int) -> bool:
        """Whether every layer sees so many tokens."""
        window = self.network.window
        return window is None or columns <= window

    def _run(
        self,
        ids: Tensor,
        mask: Tensor | None,
        positions: Tensor,
        prefixes: Sequence[SharedPrefix],
        kept: int,
        count: int,
    ) -> Tensor:
        """One pass; `count` of its positions are no padding."""
        logits = self.network.read(ids, mask, positions, self.cache, prefixes, kept)
        usage = self.usage
        usage.passes += 1
        usage.positions += count
        usage.kv_bytes_peak = max(usage.kv_bytes_peak, self.ledger.peak)
        return logits

    def _prefixes(self) -> list[SharedPrefix]:
        if not any(self.trunks):
            return []
        groups: dict[int, tuple[Trunk, list[int]]] = {}
        for row, trunk in enumerate(self.trunks):
            for piece in trunk.chain() if trunk is not None else ():
                groups.setdefault(id(piece), (piece, []))[1].append(row)
        return [
            SharedPrefix(
                piece.layers,
                None if len(rows) == len(self) else torch.tensor(rows, device=self.device),
            )
            for piece, rows in groups.values()
        ]

    def commit(self, row: int, kept: Sequence[int]) -> None:
        """Keeps these of the row's new tokens, each the child of the one before."""
        length = self.lengths[row]
        count = len(kept)
        # Kept positions rise, so that the last one tells whether any was left out.
        if count and kept[-1] != count - 1:
            first = next(i for i, node in enumerate(kept) if node != i)
            self.cache.compact(row, [length + node for node in kept[first:]], length + first)
        self.lengths[row] = length + count

    def _count(self) -> None:
        now = self.cache.n_bytes
        if now != self._counted:
            self.ledger.add(now - self._counted)
            self._counted = now
