"""The positions of a canvas, numbered so that fixing a token leaves all others as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from operator import is_, ne
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from guided.grammars.canvas.slots import GAP, MASKED, Layout
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.canvas_arrays import BYTE, HIGH, LAST, LEFT_OUT, MASK, N_FREE, N_INNER, Lattice
from guided.kernels.canvas_cuts import arrange
from guided.kernels.direct_calls import Direct

_ARRANGE = Direct(arrange)
T = TypeVar("T", bound=np.generic)
#: So many units are put into the arrays one by one.
_FEW = 4
#: Slots that are compared with one look: between two canvases most are the same.
_AT_ONCE = 32


@dataclass(frozen=True)
class Units:
    """What a layout holds, gaps aside.

    Attributes:
        texts: the bytes of every token up to the end, None for a mask.
        loops: whether a gap lies at the boundary before every unit, and behind the last.
        unit_of: number of units before every slot boundary.
        ends: boundaries at which the text may end.
        changed: units that are others than in what these were made from by `after`, as far as both
            go; None where they were made otherwise.
    """

    texts: list[bytes | None]
    loops: list[bool]
    unit_of: Sequence[int]
    ends: Sequence[int]
    changed: list[int] | None = None

    @classmethod
    def of(cls, layout: Layout, vocabulary: Vocabulary) -> Units:
        """The units of a layout all of whose tokens spell something."""
        first = layout.text_end if vocabulary.stop_ids else layout.end
        texts: list[bytes | None] = []
        if GAP not in layout.slots[: layout.end]:
            for slot in layout.slots[: layout.end]:
                texts.append(vocabulary.grammar_bytes(slot) if isinstance(slot, int) else None)
            count = len(texts)
            return cls(texts, [False] * (count + 1), range(count + 1), range(first, count + 1))
        loops = [False]
        unit_of = [0]
        for slot in layout.slots[: layout.end]:
            if slot is GAP:
                loops[-1] = True
            else:
                texts.append(None if slot is MASKED else vocabulary.grammar_bytes(int(slot)))
                loops.append(False)
            unit_of.append(len(texts))
        return cls(texts, loops, unit_of, sorted(set(unit_of[first:])))

    def after(self, before: Layout, layout: Layout, vocabulary: Vocabulary) -> Units:
        """The units of a layout, where these are those of another one."""
        end = layout.end
        if end > before.end or len(self.texts) != before.end:
            return Units.of(layout, vocabulary)
        texts = self.texts[:end]
        changed = changes(before.slots[:end], layout.slots[:end])
        for at in changed:
            new = layout.slots[at]
            if new is GAP:
                return Units.of(layout, vocabulary)
            texts[at] = None if new is MASKED else vocabulary.grammar_bytes(int(new))
        first = layout.text_end if vocabulary.stop_ids else end
        loops, unit_of = self.loops, self.unit_of
        if end < before.end:
            loops, unit_of = loops[: end + 1], unit_of[: end + 1]
        return Units(texts, loops, unit_of, range(first, end + 1), changed)


class Places:
    """Numbers for the positions of a canvas whose tokens are fixed one after the other.

    Attributes:
        units: the canvas as it is now.
        lattice: the arrays.
        may_mid: uint8[U], whether a unit is a mask that may have mids.
        complete: whether all masks may.
    """

    def __init__(self, units: Units, n_mids: int, most_mids: int, width: int) -> None:
        count = len(units.texts)
        self._n_mids, self._most_mids = n_mids, most_mids
        self.inner: list[list[int]] = [[] for _ in range(count)]
        self.mid = np.full((max(count, 1), max(n_mids, 1)), -1, np.int32)
        self.used = np.array([count + 1, 0, 0, most_mids, 0, 0], np.int64)
        self.free = np.zeros(64 * width, np.int32)
        self.width = width
        self.may_mid = np.zeros(count, np.uint8)
        self.may_mid, self.complete = self.mids_for(units)
        for unit, text in enumerate(units.texts):
            self.inner[unit] = [self._number() for _ in (text or b"")[1:]]
        self.units = units
        self.lattice = self._arranged()

    @property
    def has_all(self) -> bool:
        """Whether no mid was left out so far."""
        return self.complete and not self.used[LEFT_OUT]

    def can_become(self, units: Units) -> bool:
        """Whether what is numbered may stay so."""
        count = len(units.texts)
        if units.loops is self.units.loops:
            return True
        return count <= len(self.inner) and units.loops == self.units.loops[: count + 1]

    def mids_for(self, units: Units) -> tuple[NDArray[np.uint8], bool]:
        """(which units may have mids, whether all masks are among them).

        All masks may where their mids are no more than allowed, else those at the ends of holes.
        """
        if not self._n_mids:
            same = len(self.may_mid) == len(units.texts)
            return self.may_mid if same else np.zeros(len(units.texts), np.uint8), True
        masked = np.fromiter(map(is_, units.texts, repeat(None)), np.bool_, len(units.texts))
        count = int(masked.sum())
        if count * self._n_mids <= self._most_mids:
            return masked.view(np.uint8), True
        inside = np.zeros(len(masked), np.bool_)
        inside[1:-1] = masked[:-2] & masked[2:]
        chosen = masked & ~inside
        return chosen.view(np.uint8), int(chosen.sum()) == count

    def wants(self, texts: Iterable[bytes | None]) -> int:
        """How many more numbers there would have to be for the bytes of these tokens."""
        room = int(self.used[N_FREE]) + 64 * self.width - int(self.used[HIGH])
        return sum(len(text) - 1 for text in texts if text is not None) - room

    def drop(self, units: Sequence[int]) -> list[int]:
        """Frees the numbers inside of units, and returns them."""
        found: list[int] = []
        if self._n_mids:
            mids = self.mid[units]
            found = mids[mids >= 0].tolist()
            self.used[N_INNER] -= len(found)
            self.mid[units] = -1
        for unit in units:
            if self.inner[unit]:
                found += self.inner[unit]
                self.inner[unit] = []
        if not found:
            return found
        count = int(self.used[N_FREE])
        self.free[count : count + len(found)] = found
        self.used[N_FREE] += len(found)
        return found

    def become(
        self, units: Units, changed: Sequence[int], may_mid: NDArray[np.uint8], complete: bool
    ) -> None:
        """Numbers what is new of `units`, whose `changed` units were dropped before."""
        fixed = [unit for unit in changed if units.texts[unit] is not None]
        for unit in fixed:
            self.inner[unit] = [self._number() for _ in (units.texts[unit] or b"")[1:]]
        before, self.units = self.units, units
        self.may_mid, self.complete = may_mid, complete
        if len(fixed) > _FEW or len(before.texts) != len(units.texts) or len(changed) > 3 * _FEW:
            self.lattice = self._arranged()
            return
        for unit in changed:
            if units.texts[unit] is not before.texts[unit]:
                self._arrange(unit, before.texts[unit])
        if may_mid is not self.lattice.may_mid:
            self.lattice = self.lattice._replace(may_mid=may_mid)
        if units.ends != before.ends:
            self.lattice = self.lattice._replace(accepting=self._accepting())

    def _arrange(self, unit: int, before: bytes | None) -> None:
        """Puts the main positions of one unit into the arrays."""
        text = self.units.texts[unit]
        _ARRANGE(
            self.lattice,
            unit,
            1 if before is None else len(before),
            np.frombuffer(text or b"\0", np.uint8),
            np.array(self.inner[unit], np.int32),
            text is None,
        )

    def widen(self, width: int) -> None:
        """Makes room for more numbers."""
        free = np.zeros(64 * width, np.int32)
        free[: len(self.free)] = self.free
        self.free, self.width = free, width
        lattice = self.lattice
        self.lattice = lattice._replace(
            kind=self._roomy(lattice.kind),
            byte=self._roomy(lattice.byte),
            loop=self._roomy(lattice.loop),
            id=self._roomy(lattice.id),
            unit=self._roomy(lattice.unit),
            free=free,
            accepting=self._accepting(),
        )

    def _roomy(self, array: NDArray[T]) -> NDArray[T]:
        """The array with room for as many main positions as there are numbers."""
        wider = np.zeros(64 * self.width, array.dtype)
        wider[: len(array)] = array
        return wider

    def _number(self) -> int:
        if self.used[N_FREE]:
            self.used[N_FREE] -= 1
            return int(self.free[self.used[N_FREE]])
        self.used[HIGH] += 1
        return int(self.used[HIGH]) - 1

    def _accepting(self) -> NDArray[np.uint64]:
        ends = self.units.ends
        return packed(slice(ends.start, ends.stop) if isinstance(ends, range) else ends, self.width)

    def _arranged(self) -> Lattice:
        texts = self.units.texts
        count = len(texts)
        lengths = np.array([1 if text is None else len(text) for text in texts], np.int64)
        main = np.zeros(count + 1, np.int32)
        np.cumsum(lengths, out=main[1:])
        kind = np.full(main[-1] + 1, BYTE, np.uint8)
        kind[main[:-1][np.array([text is None for text in texts], np.bool_)]] = MASK
        kind[-1] = LAST
        loop = np.zeros(len(kind), np.uint8)
        if any(self.units.loops):
            loop[main] = self.units.loops
        number = np.full(len(kind), -1, np.int32)
        number[main] = np.arange(count + 1)
        number[number < 0] = list(chain.from_iterable(self.inner[:count]))
        data = b"".join([b"\0" if text is None else text for text in texts]) + b"\0"
        unit = np.full(len(kind), count, np.int32)
        unit[:-1] = np.repeat(np.arange(count), lengths)
        return Lattice(
            kind=self._roomy(kind),
            byte=self._roomy(np.frombuffer(data, np.uint8)),
            loop=self._roomy(loop),
            id=self._roomy(number),
            unit=self._roomy(unit),
            main=main,
            may_mid=self.may_mid if count else np.zeros(1, np.uint8),
            mid=self.mid,
            free=self.free,
            used=self.used,
            accepting=self._accepting(),
        )


def changes(before: Sequence[object], now: Sequence[object]) -> list[int]:
    """Where two sequences of a type differ, as far as the shorter one goes."""
    found: list[int] = []
    for begin in range(0, min(len(before), len(now)), _AT_ONCE):
        these, those = before[begin : begin + _AT_ONCE], now[begin : begin + _AT_ONCE]
        if these != those:
            found += compress(range(begin, begin + len(these)), map(ne, these, those))
    return found


def packed(numbers: Sequence[int] | slice | NDArray[np.int32], width: int) -> NDArray[np.uint64]:
    """uint64[width] with the bits of `numbers`."""
    bits = np.zeros(64 * width, np.uint8)
    bits[numbers] = 1
    words: NDArray[np.uint64] = np.packbits(bits, bitorder="little").view(np.uint64)
    return words
