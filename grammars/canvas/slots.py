"""What a canvas is given: tokens, masks and gaps in slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from guided.errors import InputError
from guided.grammars.once import once
from guided.grammars.vocabulary import Vocabulary


class Masked(Enum):
    """`MASKED`: a slot that will hold exactly one token."""

    MASKED = "mask"


class Gap(Enum):
    """`GAP`: a hole that will hold any number of tokens."""

    GAP = "gap"


MASKED = Masked.MASKED
GAP = Gap.GAP

Slot = int | Masked | Gap


@dataclass(frozen=True)
class Layout:
    """Slots, read up to the first stop token.

    Attributes:
        slots: the slots as they were given.
        end: number of slots that count: those before the first stop token.
        stopped: whether a stop token stands at `end`.
        text_end: number of slots up to the last fixed token. The text may end anywhere from there.
        spells: whether every fixed token of the text stands for some bytes.
    """

    slots: tuple[Slot, ...]
    end: int
    stopped: bool
    text_end: int
    spells: bool = True

    @classmethod
    def of(cls, slots: Sequence[Slot] | int, vocabulary: Vocabulary) -> Layout:
        """The layout of `slots` (a number: as many masks).

        Raises:
            InputError: no token of the vocabulary, or one that spells nothing.
        """
        given: tuple[Slot, ...] = (MASKED,) * slots if isinstance(slots, int) else tuple(slots)
        end = len(given)
        for place, slot in enumerate(given):
            if isinstance(slot, Masked | Gap):
                continue
            check_token(slot, vocabulary, place)
            if slot in vocabulary.stop_ids:
                end = min(end, place)
        fixed = [i for i in range(end) if not isinstance(given[i], Masked | Gap)]
        spells = _spell((slot for slot in given[:end] if isinstance(slot, int)), vocabulary)
        return cls(given, end, end < len(given), fixed[-1] + 1 if fixed else 0, spells)

    @property
    def is_open(self) -> bool:
        """Whether all slots are masks."""
        return not self.stopped and self.slots.count(MASKED) == len(self.slots)

    @once
    def has_gaps(self) -> bool:
        """Whether a gap lies in the text."""
        return GAP in self.slots[: self.end]

    @once
    def has_masks(self) -> bool:
        """Whether a mask stands in the text."""
        return MASKED in self.slots[: self.end]

    def fixed(self, items: Iterable[tuple[int, int]]) -> Layout | None:
        """The layout with tokens fixed (stop tokens are none of them), None where one is fixed."""
        slots = list(self.slots)
        text_end = self.text_end
        for slot, token in items:
            if slot >= self.end:
                return None
            if slots[slot] is not MASKED:
                if slots[slot] != token:
                    return None
                continue
            slots[slot] = token
            text_end = max(text_end, slot + 1)
        return Layout(tuple(slots), self.end, self.stopped, text_end, self.spells)

    def with_tokens(self, tokens: Mapping[int, int], vocabulary: Vocabulary) -> Layout | None:
        """The layout with tokens fixed, None where something else is fixed already or cut off."""
        stops = sorted(slot for slot, token in tokens.items() if token in vocabulary.stop_ids)
        layout = self.fixed((s, t) for s, t in tokens.items() if s not in stops)
        written = (t for s, t in tokens.items() if s not in stops)
        if layout is not None and not _spell(written, vocabulary):
            layout = replace(layout, spells=False)
        for slot in stops:
            if layout is not None and slot < layout.end:
                layout = layout.stopped_at(slot, tokens[slot])
        return layout

    def with_gaps(self) -> Layout:
        """The layout with a gap for every mask."""
        slots = tuple(GAP if slot is MASKED else slot for slot in self.slots)
        return replace(self, slots=slots)

    def cut(self, length: int) -> Layout:
        """The first `length` slots, gaps left empty."""
        kept = tuple(slot for slot in self.slots[:length] if slot is not GAP)
        return Layout(kept, len(kept), True, len(kept), self.spells)

    def grown(self, growth: int) -> Layout:
        """The layout with every hole longer by `growth` masks, gaps as masks."""
        slots: list[Slot] = []
        for place, slot in enumerate(self.slots[: self.end]):
            if isinstance(slot, int):
                slots.append(slot)
                continue
            if slot is MASKED:
                slots.append(slot)
            last = place + 1 == self.end or isinstance(self.slots[place + 1], int)
            if last:
                slots += [MASKED] * growth
        fixed = [i for i, slot in enumerate(slots) if isinstance(slot, int)]
        text_end = fixed[-1] + 1 if fixed else 0
        return Layout(tuple(slots), len(slots), self.stopped, text_end, self.spells)

    def stopped_at(self, slot: int, token: int) -> Layout | None:
        """The layout with a stop token at `slot`, None where fixed text follows."""
        if slot < self.text_end or self.slots[slot] is not MASKED:
            return None
        slots = list(self.slots)
        slots[slot] = token
        return Layout(tuple(slots), slot, True, self.text_end, self.spells)


def _spell(tokens: Iterable[int], vocabulary: Vocabulary) -> bool:
    """Whether all tokens stand for some bytes."""
    return all(vocabulary.grammar_bytes(token) is not None for token in tokens)


def check_token(token: int, vocabulary: Vocabulary, slot: int) -> None:
    """Raises InputError where `token` cannot stand on a canvas."""
    if not 0 <= token < vocabulary.size:
        raise InputError(
            f"slot {slot} holds token {token}, but the vocabulary has tokens 0 to "
            f"{vocabulary.size - 1}"
        )
