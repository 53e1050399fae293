"""The rows of a model over bytes: on a stage of its tokens, what covers each text."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from guided.byte_laws.byte_law import Opening
from guided.byte_laws.byte_places import BytePlace, Standing
from guided.byte_laws.byte_prompts import Parts, parts_of
from guided.byte_laws.reading import ByteReading, Weigher
from guided.byte_laws.spelling import N_SYMBOLS
from guided.byte_laws.weighing import Weighing
from guided.decoding.masks import Feed
from guided.decoding.reading import Reading
from guided.decoding.stage import Stage
from guided.decoding.trunks import Place
from guided.errors import DecodingError, InputError

if TYPE_CHECKING:
    from guided.byte_laws.byte_law import ByteLaw

_NOTHING = Feed([], [])


@dataclass(slots=True)
class _Row:
    """A text on the stage; `inner` is the place of its tokens."""

    place: weakref.ref[BytePlace]
    inner: Place
    standing: Standing


class ByteStage:
    """What `Stage` is for tokens, for bytes: row r here is row r of the stage of its tokens.

    Every pass reads, for all bytes that it is fed, the tokens that end with one of them and those
    before them that are not certain yet.
    """

    def __init__(self, law: ByteLaw, inner: Stage) -> None:
        self.law, self.inner = law, inner
        self.weigher = Weigher(law.canon, law.stop_ids, law.normalize)
        self.rows: list[_Row] = []
        self._read: list[ByteReading] = []

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def drafts(self) -> str:
        """What may be drafted: always trees."""
        return "tree"

    @property
    def busy(self) -> int:
        """Rows, the first ones, that are being grown."""
        return self.inner.busy

    @busy.setter
    def busy(self, rows: int) -> None:
        self.inner.busy = rows

    # --- rows come and go

    def read(self, rows: Sequence[Sequence[int]], scored: bool = False) -> Reading:
        """New rows at the end; `scored` asks for the log-probabilities of their symbols too.

        These are NaN where a symbol has none: what stands before the text, or is no part of it.
        """
        parts = [parts_of(row) for row in rows]
        openings = [self._opening(one) for one in parts]
        begun = [self._begun(one, each) for one, each in zip(parts, openings, strict=True)]
        inner = self.inner.read([one.tokens for one in begun])
        self._sync()
        places = [BytePlace(row=len(self.rows) + at) for at in range(len(rows))]
        for place, below, logits, one, row in zip(
            places, inner.places, inner.logits, begun, rows, strict=True
        ):
            standing = self.weigher.first(one.state, one.token, logits, len(row) - len(one.data))
            self.rows.append(_Row(weakref.ref(place), below, standing))
            place.standing = standing
        self._go_on([one.data for one in begun])
        laws = [row.standing.law for row in self.rows[len(self.rows) - len(rows) :]]
        log_p = None
        if scored:
            found = self.law.score(openings, self.inner.usage)
            log_p = [
                _aligned(one, opening, log)
                for one, opening, log in zip(parts, openings, found, strict=True)
            ]
        return Reading(list(places), torch.from_numpy(np.stack(laws)), log_p)

    def _opening(self, parts: Parts) -> Opening:
        prompt = parts.prompt
        if isinstance(prompt, str):
            opening = self.law.opening(prompt)
        else:
            opening = self.law.opening(self.law.model.encode(prompt, parts.template))
        return opening._replace(data=opening.data + parts.data)

    def _begun(self, parts: Parts, opening: Opening) -> Opening:
        """The opening behind all tokens that are certain; what was drawn need be no text."""
        try:
            return self.law.advanced(opening)
        except InputError:
            if not parts.data:
                raise
            data = opening.data.removesuffix(parts.data)
            begun = self.law.advanced(opening._replace(data=data))
            return begun._replace(data=begun.data + parts.data)

    def _go_on(self, texts: Sequence[bytes]) -> None:
        """Has the last rows read bytes."""
        if not any(texts):
            return
        first = len(self.rows) - len(texts)
        self.forward([*[_NOTHING] * first, *(Feed.chain(list(text)) for text in texts)])
        for row, text in enumerate(texts, start=first):
            if text:
                self.commit(row, range(len(text)))

    def arrange(self, places: Sequence[BytePlace]) -> list[int]:
        """Makes the rows exactly those of `places`; row r is that of `places[order[r]]`."""
        below = [
            place.trunk if place.row is None else self.rows[place.row].inner for place in places
        ]
        staying = {id(each) for each in below}
        before = self.rows
        order = self.inner.arrange(below)
        for row in before:
            if id(row.inner) not in staying:
                _rest(row)
        self.rows = []
        for index in order:
            place = places[index]
            place.row, place.trunk = len(self.rows), None
            if place.standing is None:
                raise ValueError("a place that was read stands somewhere")
            self.rows.append(_Row(weakref.ref(place), below[index], place.standing))
        return order

    def freeze(self, place: Place) -> None:
        """Puts a row to rest; it leaves the stage, and the last row takes its number."""
        if place.row is not None:
            self.drop(place.row, keep=True)

    def drop(self, row: int, keep: bool = False) -> None:
        """Removes a row; the last row takes its number. `keep` puts its place to rest."""
        gone = self.rows[row]
        self.inner.drop(row, keep)
        _rest(gone, keep)
        self.rows[row] = self.rows[-1]
        self.rows.pop()
        if row < len(self.rows) and (moved := self.rows[row].place()) is not None:
            moved.row = row

    def pin(self, place: Place) -> None:
        """Keeps a place at rest from being evicted until it has rested anew."""
        if place.trunk is not None:
            self.inner.pin(place.trunk)

    def lacks_room(self) -> bool:
        """Whether room for one more token in every row exceeds the limit, or has done so."""
        return self.inner.lacks_room()

    def fits(self, columns: int) -> bool:
        """Whether one more row of so many bytes stays within the limit."""
        return self.inner.fits(columns)

    def _sync(self) -> None:
        """Puts rows to rest that the stage below has put to rest to make room."""
        staying = [row for row in self.rows if row.inner.row is not None]
        for row in self.rows:
            if row.inner.row is None:
                _rest(row)
        self.rows = staying

    # --- passes

    def forward(self, feeds: Sequence[Feed]) -> Tensor:
        """The log laws `[n, q, 257]` after every new byte of every row, zeros at the end."""
        self._read = [
            ByteReading(self.weigher, row.standing, feed)
            for row, feed in zip(self.rows, feeds, strict=True)
        ]
        below = [one.feed() for one in self._read]
        self._check_length(below)
        logits = self.inner.forward(below) if any(each.tokens for each in below) else None
        found = np.zeros((len(feeds), max(len(feed) for feed in feeds), N_SYMBOLS))
        weighed = self._weighed(logits)
        for row, one in enumerate(self._read):
            laws = one.take(islice(weighed, len(one.new)))
            if laws:
                found[row, : len(laws)] = np.stack(laws)
        return torch.from_numpy(found)

    def _weighed(self, logits: Tensor | None) -> Iterator[Weighing]:
        """The new heads of all rows, row by row, from the logits `[n, q, V]` of their tokens."""
        if logits is None:
            return iter(())
        heads = [head for one in self._read for head in one.new]
        rows = [row for row, one in enumerate(self._read) for _ in one.new]
        places = [place for one in self._read for place in one.new_places()]
        return self.weigher.weighings(heads, logits[rows, places])

    def _check_length(self, below: Sequence[Feed]) -> None:
        most = self.law.model.context_length
        for row, feed in enumerate(below):
            if most is None or not feed.tokens:
                continue
            trunk = self.inner.trunks[row]
            held = self.inner.lengths[row] + (0 if trunk is None else trunk.total)
            if held + max(feed.places(0)) + 1 > most:
                raise DecodingError(
                    f"the text has more tokens than {type(self.law.model.hf_model).__name__} can "
                    f"address ({most}); give fewer max_new_tokens, which count bytes"
                )

    def commit(self, row: int, kept: Sequence[int]) -> None:
        """Keeps these of the row's new bytes, each the child of the one before."""
        if not kept:
            return
        standing, tokens = self._read[row].standing(kept)
        self.rows[row].standing = standing
        if (place := self.rows[row].place()) is not None:
            place.standing = standing
        if tokens:
            self.inner.commit(row, tokens)


def _rest(row: _Row, keep: bool = True) -> None:
    """Says to the place of a row that left the stage where its tokens are now."""
    place = row.place()
    if place is not None:
        place.row = None
        place.trunk = row.inner if keep and not row.inner.is_lost else None


def _aligned(parts: Parts, opening: Opening, log_p: Sequence[float]) -> list[float]:
    """The log-probabilities of the opening's bytes at the places of the prompt's after the first.

    Args:
        log_p: one for each byte of the opening's data, which ends with `parts.data`.
    """
    shown = parts.shown
    found = [float("nan")] * len(shown)
    data, own = opening.data, log_p
    if parts.data:
        cut = len(data) - len(parts.data)
        data, own = data[:cut], log_p[:cut]
    common = 0
    while common < min(len(data), len(shown)) and data[-1 - common] == shown[-1 - common]:
        common += 1
    if common:
        found[len(shown) - common :] = own[len(own) - common :]
    mark = 1 if isinstance(parts.prompt, str) else 2
    after = log_p[len(log_p) - len(parts.data) :] if parts.data else []
    return [*found, *[float("nan")] * mark, *after][1:]
