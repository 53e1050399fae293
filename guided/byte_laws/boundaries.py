"""Whether tokens can stand where they stand, as far as the cuts of the text decide it."""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from guided.byte_laws.characters import BETWEEN, Utf8
from guided.byte_laws.spelling import Spelling
from guided.byte_laws.splitter import Cuts, Memory, Splitter
from guided.errors import VocabularyError

#: The number of no state: the text is refuted.
DEAD = -1
_UNKNOWN = -2
_MOST_TRIED = 20_000


class Wanted(IntEnum):
    """What the tokens want of a position, before one of their bytes."""

    JOINED = 0
    EITHER = 1
    CUT = 2


class _Place(NamedTuple):
    """Where a token sequence stands.

    Attributes:
        memory: of the splitter.
        wanted: what was wanted of the positions that are not certain yet.
        utf8: state inside of a character.
        before: what is wanted of the position before that character.
        is_foreign: whether byte tokens spell that character.
    """

    memory: Memory
    wanted: tuple[int, ...] = ()
    utf8: int = BETWEEN
    before: int = Wanted.EITHER
    is_foreign: bool = False


class Boundaries:
    """Reads bytes of tokens, with what is wanted of the cuts between them.

    No cut may lie inside of a token, and two neighbours that the encoder would merge need one
    between them. A state is *possible* where some characters go on so that all cuts are as wanted;
    else the tokens so far are no beginning of what the tokenizer makes of any text.

    States are small numbers, `start` at the beginning of a text.

    Args:
        own: classes of characters that have a token of their own, so that no byte tokens spell
            them; None: all characters are spelled by bytes.
    """

    def __init__(self, splitter: Splitter, utf8: Utf8, own: frozenset[int] | None = None) -> None:
        self.splitter, self.utf8, self.own = splitter, utf8, own
        self._places: list[_Place] = []
        self._numbers: dict[_Place, int] = {}
        self._table = np.empty((0, 256), np.int32)
        self._possible: dict[int, bool] = {DEAD: False}
        self._fates: dict[_Place, bool] = {}
        self._step = cache(splitter.step)
        self.start = self._number(_Place(splitter.start))

    def step(
        self, state: int, byte: int, wanted: int = Wanted.JOINED, is_foreign: bool = False
    ) -> int:
        """The state after one more byte; DEAD if that refutes what was wanted.

        Args:
            wanted: of the position before the byte.
            is_foreign: whether it is a token that stands for this byte of some character.
        """
        place = self._places[state]
        if place.utf8 == BETWEEN:
            place = place._replace(before=wanted, is_foreign=is_foreign)
        elif wanted == Wanted.CUT or is_foreign != place.is_foreign:
            return DEAD
        after = self.utf8.step(place.utf8, byte)
        if after == 0:
            return DEAD
        if not self._endings(place, after):
            return DEAD
        if after > 0:
            return self._number(place._replace(utf8=after))
        found = self._read(place, ~after)
        return DEAD if found is None else self._number(found)

    def run(self, state: int, tokens: Spelling, wanted: int) -> NDArray[np.int32]:
        """The states `[n]` after each of the tokens; DEAD where none is possible.

        Args:
            wanted: of the position before the token.
        """
        first = tokens.matrix[:, 0].astype(np.int32) + 256 * tokens.is_foreign
        kinds, inverse = np.unique(first, return_inverse=True)
        begun = [self.step(state, kind % 256, wanted, kind >= 256) for kind in kinds.tolist()]
        states = np.array(begun, np.int32)[inverse]
        for column in range(1, tokens.matrix.shape[1]):
            going = np.flatnonzero((tokens.lengths > column) & (states >= 0))
            if not going.size:
                break
            states[going] = self._steps(states[going], tokens.matrix[going, column])
        ends, inverse = np.unique(states, return_inverse=True)
        kept = [end if self.is_possible(end) else DEAD for end in ends.tolist()]
        return np.array(kept, np.int32)[inverse]

    def _steps(self, states: NDArray[np.int32], read: NDArray[np.uint8]) -> NDArray[np.int32]:
        """`step` inside of tokens, for many at once."""
        if len(self._table) < len(self._places):
            more = np.full((len(self._places), 256), _UNKNOWN, np.int32)
            self._table = np.concatenate([self._table, more])
        after = self._table[states, read]
        unknown = after == _UNKNOWN
        if unknown.any():
            pairs = np.unique(states[unknown].astype(np.int64) * 256 + read[unknown])
            found = [self.step(*divmod(pair, 256)) for pair in pairs.tolist()]
            self._table[pairs // 256, pairs % 256] = found
            after = self._table[states, read]
        return after

    def is_possible(self, state: int) -> bool:
        """Whether some text goes on from here, or ends, with everything as wanted."""
        if state not in self._possible:
            self._possible[state] = self._search(self._places[state])
        return self._possible[state]

    def may_end(self, state: int) -> bool:
        """Whether the text may end here with everything as wanted."""
        return self._ends(self._places[state])

    def _endings(self, place: _Place, after: int) -> frozenset[int]:
        """The characters that the one begun can become, or has become (`after` < 0)."""
        chars = self.utf8.endings[after] if after >= 0 else frozenset((~after,))
        if self.own is None or after == BETWEEN:
            return chars
        return chars - self.own if place.is_foreign else chars & self.own

    def _number(self, place: _Place) -> int:
        if place.utf8 == BETWEEN:
            place = place._replace(before=Wanted.EITHER, is_foreign=False)
        number = self._numbers.setdefault(place, len(self._places))
        if number == len(self._places):
            self._places.append(place)
        return number

    def _read(self, place: _Place, char: int) -> _Place | None:
        """After one more character; None if that refutes what was wanted."""
        cuts, memory = self._step(place.memory, char)
        if memory is None:
            return None
        is_first = place.memory == self.splitter.start
        wanted = _agreed(cuts, place.wanted if is_first else (*place.wanted, place.before))
        return None if wanted is None else _Place(memory, wanted)

    def _search(self, place: _Place) -> bool:
        """Looks for a text to go on with, the shortest first; what it finds out is kept."""
        if (known := self._fate(place)) is not None:
            return known
        todo, before = deque([place]), {place: place}
        while todo:
            here = todo.popleft()
            if self._ends(here):
                return self._found(place, here, before)
            for char in sorted(self._endings(here, here.utf8)):
                after = self._read(here, char)
                if after is None or after in before:
                    continue
                before[after] = here
                known = self._fate(after)
                if known:
                    return self._found(place, after, before)
                if known is None:
                    todo.append(after)
            if len(before) > _MOST_TRIED:
                raise VocabularyError(
                    "the tokenizer splits text by a pattern that looks too far ahead for byte laws"
                )
        self._fates.update(dict.fromkeys(before, False))
        return False

    def _fate(self, place: _Place) -> bool | None:
        """Whether some text goes on from a place, as far as that is known."""
        return True if _is_free(place) else self._fates.get(place)

    def _ends(self, place: _Place) -> bool:
        if place.utf8 != BETWEEN:
            return False
        cuts = self.splitter.end(place.memory)
        return cuts is not None and _agreed(cuts, place.wanted) is not None

    def _found(self, first: _Place, last: _Place, before: dict[_Place, _Place]) -> bool:
        """A text goes on from all places on the way from `first` to `last`."""
        while last != first:
            self._fates[last] = True
            last = before[last]
        self._fates[first] = True
        return True


def _is_free(place: _Place) -> bool:
    """Whether nothing is wanted any more: every text will do."""
    return place.before == Wanted.EITHER and not any(one != Wanted.EITHER for one in place.wanted)


def _agreed(cuts: Cuts, wanted: tuple[int, ...]) -> tuple[int, ...] | None:
    """What is still wanted after some positions became certain; None: one is not as wanted."""
    for is_cut, one in zip(cuts, wanted, strict=False):
        if one == (Wanted.JOINED if is_cut else Wanted.CUT):
            return None
    return wanted[len(cuts) :]
