"""States of grammars with arrays whose items must differ."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from guided.errors import BudgetError
from guided.grammars.distinct.endings import Endings, Place
from guided.grammars.distinct.items import Items
from guided.grammars.distinct.spans import ROOT, Spans, Tokens, among
from guided.grammars.distinct.values import value_of
from guided.grammars.spacing import Spacing
from guided.grammars.spots import FINISHED
from guided.grammars.states import GrammarState
from guided.grammars.token_engine import Mask, TokenEngine

if TYPE_CHECKING:
    from guided.grammars.grammar import Grammar

#: Tokens of a budget that are always kept free for what tells items apart.
_SLACK = 64
_QUOTE = ord('"')


class DistinctEngine:
    """What the states of one grammar over one vocabulary share."""

    def __init__(self, engine: TokenEngine, needed: Collection[str]) -> None:
        """`needed`: for every array whose items may run out a JSON list of what it may need."""
        self.engine = engine
        values = [value for text in needed for value in value_of(text.encode())]
        self.endings = Endings(engine, bool(needed), values)
        self.spans = Spans(engine.vocabulary)


class DistinctState(GrammarState):
    """A state with the items of its open arrays. What would repeat one is forbidden."""

    __slots__ = ("_completion", "_items", "_shared", "_unlike")

    def __init__(
        self,
        grammar: Grammar,
        shared: DistinctEngine,
        config: int,
        items: Items,
        parent: GrammarState | None = None,
        token: int = -1,
    ) -> None:
        super().__init__(grammar, shared.engine, config, parent, token)
        self._shared = shared
        self._items = items
        self._completion: list[int] | None = None
        self._unlike: Mask | None = None

    @property
    def key(self) -> Hashable:
        """Equal only for states with the same future."""
        key = (id(self._engine.parser), self._spot.config)
        return (*key, self._items.key) if self._items.are_open else key

    @property
    def _place(self) -> Place:
        return Place(self._spot.config, self._items)

    def advance(self, token: int) -> GrammarState | None:
        """The state after `token`, None if the grammar forbids it."""
        if self._engine.parser.full:
            return self._moved()._take(token)
        return self._take(token)

    def _take(self, token: int) -> GrammarState | None:
        engine = self._engine
        if token in engine.vocabulary.stop_ids:
            return self._at(Place(FINISHED, self._items), token) if self.is_accepting else None
        place = None if self._spot.config == FINISHED else self._placed(token)
        if place is None or not self._shared.endings.exists(place):
            return None
        return self._at(place, token)

    def _placed(self, token: int) -> Place | None:
        """The place after `token`, None where it is illegal or repeats an item."""
        config = self._engine.after(self._spot.config, token)
        data = self._engine.vocabulary.grammar_bytes(token)
        if config == 0 or data is None:
            return None
        return self._shared.endings.reached(self._place, data, config)

    def _at(self, place: Place, token: int) -> DistinctState:
        found = DistinctState(self._grammar, self._shared, *place, self, token)
        if self._completion and self._completion[0] == token:
            found._completion = self._completion[1:]
        return found

    def mask(self) -> Mask:
        """The packed mask of the tokens after which no item is repeated."""
        if self._unlike is None:
            self._unlike = self._without(super().mask())
        return self._unlike

    def _without(self, mask: Mask) -> Mask:
        """`mask` without the tokens that repeat an item, or leave nothing else to come."""
        if self._spot.config == FINISHED:
            return mask
        bad = list(self._repeating(mask))
        if not bad:
            return mask
        kept = mask.copy()
        for token in bad:
            kept[token >> 5] &= ~np.int32(1 << (token & 31)) if token & 31 != 31 else _LOW
        kept.flags.writeable = False
        return kept

    def _repeating(self, mask: Mask) -> Iterator[int]:
        """The tokens in `mask` that must not come."""
        shared, items = self._shared, self._items
        spans, scarce = shared.spans, shared.endings.scarce
        if not items.are_open:
            yield from self._refused(spans.opening, mask)
            return
        if scarce or shared.endings.matches(self._place):
            yield from self._like_earlier(mask)
        over = spans.over_string if items.in_string else spans.over_next
        yield from self._refused(spans.with_comma if scarce else over, mask)

    def _refused(self, tokens: Tokens, mask: Mask) -> Iterator[int]:
        for token in among(tokens, mask).tolist():
            place = self._placed(token)
            if place is None or not self._shared.endings.exists(place):
                yield token

    def _like_earlier(self, mask: Mask) -> Iterator[int]:
        """The tokens on the ways to other items after which nothing can come."""
        spans, endings = self._shared.spans, self._shared.endings
        waiting = [(ROOT, self._place)]
        while waiting:
            at, place = waiting.pop()
            if at != ROOT and not endings.exists(place):
                # Whatever goes on from here cannot end.
                yield from spans.below(at, mask)
                continue
            for byte in self._expected(place):
                node = spans.child(at, byte)
                if node == ROOT:
                    continue
                data = bytes((byte,))
                config = self._engine.parser.walk(place.config, data)[0]
                found = endings.reached(place, data, config) if config else None
                if found is None:
                    yield from spans.below(node, mask)
                elif found.items.between or endings.matches(found):
                    waiting.append((node, found))

    def _expected(self, place: Place) -> list[int]:
        """The bytes that may come next on the way to another item, and perhaps others."""
        live = self._engine.parser.live_bytes(place.config)
        if self._shared.endings.scarce and not place.items.in_string:
            return live
        expected = {_QUOTE} if self._shared.endings.scarce else set()
        for found in self._shared.endings.matches(place):
            expected |= found.following
        return [byte for byte in live if byte in expected]

    def mask_within(self, budget: int) -> Mask:
        """The mask of the tokens after which a completion still fits.

        Raises:
            BudgetError: no completion is known to fit; it says how many tokens suffice.
        """
        mask = self.mask()
        if self._spot.config == FINISHED or self._is_roomy(budget):
            return mask
        kept = np.zeros_like(mask)
        for token in self._fitting(mask, budget):
            kept[token >> 5] |= np.int32(1 << (token & 31)) if token & 31 != 31 else _HIGH
        if not kept.any():
            raise BudgetError(
                f"no completion is known to fit into {budget} tokens; {self.bound} suffice",
                self.bound,
            )
        kept.flags.writeable = False
        return kept

    def _is_roomy(self, budget: int) -> bool:
        """Whether a budget is so large that no token can exceed it."""
        far = self._engine.farthest(self._spot.config)
        return budget >= far + 2 * self.bound + _SLACK

    def _fitting(self, mask: Mask, budget: int) -> Iterator[int]:
        vocabulary = self._engine.vocabulary
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
        alike: dict[int, bool] = {}
        for token in np.flatnonzero(bits).tolist():
            if token in vocabulary.stop_ids:
                if budget >= 1:
                    yield token
                continue
            place = self._placed(token)
            if place is None:
                continue
            # Where nothing is like an earlier item, tokens that lead to one place are alike.
            is_alike = (
                self._items.in_string
                and place.items.in_string
                and not self._shared.endings.matches(place)
            )
            fits = alike.get(place.config) if is_alike else None
            if fits is None:
                after = self._at(place, token)
                fits = after.fits(budget - 1)
                if is_alike:
                    alike[place.config] = fits
            if fits:
                yield token

    def accepts(self, token: int) -> bool:
        """Whether `token` may come next; no mask is made."""
        return self.advance(token) is not None

    def accepts_within(self, token: int, budget: int) -> bool:
        """Whether `mask_within(budget)` has `token`; no mask is made."""
        if token in self._engine.vocabulary.stop_ids:
            return self.is_accepting and budget >= 1
        after = self.advance(token)
        return after is not None and after.fits(budget - 1)

    def fits(self, budget: int) -> bool:
        """Whether a completion with its stop token is known to fit into so many tokens."""
        return budget >= 0 if self._spot.config == FINISHED else self.bound <= budget

    def likely_texts(self, spacing: Spacing, most: int = 1) -> tuple[bytes, ...]:
        """At most `most` texts, one of which is likely to come next; all are legal."""
        return tuple(filter(self._is_legal, super().likely_texts(spacing, most)))

    def _is_legal(self, text: bytes) -> bool:
        place = self._shared.endings.after(self._place, text)
        return place is not None and self._shared.endings.exists(place)

    def completion(self) -> list[int]:
        """Tokens of a short completion, the stop token left out."""
        if self._spot.config == FINISHED:
            return []
        if self._completion is None:
            self._completion = self._completed()
        return self._completion

    def _completed(self) -> list[int]:
        vocabulary = self._engine.vocabulary
        pieces = self._shared.endings.short(self._place)
        if pieces is None:
            raise BudgetError("no completion without repeated items was found", 0)
        if self._engine.careful:
            return [vocabulary.spellings[piece] for piece in pieces]
        return vocabulary.encode(b"".join(pieces))

    @property
    def bound(self) -> int:
        """Number of tokens that suffice from here, the stop token included."""
        return len(self.completion()) + 1


_LOW, _HIGH = np.int32(0x7FFFFFFF), np.int32(-0x80000000)
