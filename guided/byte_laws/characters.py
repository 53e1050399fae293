"""Characters as far as some patterns can tell them apart, and how UTF-8 spells them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TypeAlias

import numpy as np
import regex
from numpy.typing import NDArray

LAST = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
#: Expressions whose characters are remembered, of a megabyte each; patterns share most of them.
_KEPT = 32
#: Where a text stands between two characters.
BETWEEN = 0
Members: TypeAlias = NDArray[np.bool_]


@cache
def _all_characters() -> tuple[str, NDArray[np.int64]]:
    points = [*range(_SURROGATES.start), *range(_SURROGATES.stop, LAST + 1)]
    return "".join(map(chr, points)), np.array(points)


def members(expression: str) -> Members:
    """Bool `[0x110000]`: the characters that a one-character expression matches."""
    char = expression.removeprefix("\\")
    if len(char) == 1 and (char == expression or not char.isalnum()):
        found = np.zeros(LAST + 1, np.bool_)
        found[ord(char)] = True
        return found
    return _matched(expression)


@lru_cache(_KEPT)
def _matched(expression: str) -> Members:
    """The same of an expression that has to be tried on all characters; read-only, kept."""
    found = np.zeros(LAST + 1, np.bool_)
    text, points = _all_characters()
    for run in regex.finditer(f"(?:{expression})+", text, flags=regex.V1):
        found[points[run.start() : run.end()]] = True
    found.flags.writeable = False
    return found


class Characters:
    """Classes of characters: two of one class are in the same ones of the given sets.

    Attributes:
        of: int32 `[0x110000]`: the class of every character.
        within: for every class, the numbers of the sets that hold it.
    """

    def __init__(self, sets: Sequence[Members]) -> None:
        surrogate = np.zeros(LAST + 1, np.bool_)
        surrogate[_SURROGATES.start : _SURROGATES.stop] = True
        # Neighbouring characters mostly are of one class: only where some set changes need looking.
        changes = np.zeros(LAST + 1, np.bool_)
        changes[0] = True
        for some in (surrogate, *sets):
            changes[1:] |= some[1:] != some[:-1]
        begins = np.flatnonzero(changes)
        kinds = np.stack([some[begins] for some in (surrogate, *sets)], axis=1)
        kinds, of = np.unique(kinds, axis=0, return_inverse=True)
        # Kinds are sorted: the surrogates, which no text holds, are the last one, alone.
        of = np.where(kinds[of.reshape(-1), 0], -1, of.reshape(-1))
        lengths = np.diff(np.append(begins, LAST + 1))
        self.of: NDArray[np.int32] = np.repeat(of, lengths).astype(np.int32)
        self.within = [
            frozenset(np.flatnonzero(kind[1:]).tolist()) for kind in kinds if not kind[0]
        ]

    def __len__(self) -> int:
        return len(self.within)


class Utf8:
    """The automaton that reads UTF-8 byte by byte, as small as the classes allow.

    State 0 is between two characters. `step(state, byte)` is the next state (> 0), or `~class`
    where a character is complete, or 0 where no text goes on that way. `endings[state]` holds the
    classes that a character begun so can still have.

    Args:
        alias: bytes that stand for another character, by the byte.
    """

    def __init__(self, characters: Characters, alias: dict[int, int] | None = None) -> None:
        self._states: list[NDArray[np.int32]] = [np.zeros(256, np.int32)]
        self._known: dict[bytes, int] = {}
        of = characters.of
        root = self._states[0]
        for byte in range(0x80):
            root[byte] = ~of[(alias or {}).get(byte, byte)]
        # Last bytes, for all beginnings at once; row r spells the characters 64 r to 64 r + 63.
        rows = of.reshape(-1, 64)
        last = np.array([self._state(~row, row[0] >= 0) for row in rows], np.int32)
        root[0xC2:0xE0] = last[2:32]
        blocks = np.array([self._state(row, True) for row in last.reshape(-1, 64)], np.int32)
        root[0xE0:0xF0] = blocks[:16]
        # Characters below U+0800 and U+10000 have shorter spellings, the only ones allowed.
        root[0xE0] = self._state(np.where(np.arange(64) >= 32, last[:64], 0), True)
        planes = np.zeros(5 * 64, np.int32)
        planes[16:272] = blocks[16:272]
        root[0xF0:0xF5] = [self._state(row, True) for row in planes.reshape(-1, 64)]
        self.endings = self._endings()

    def step(self, state: int, byte: int) -> int:
        """The next state, `~class` of a complete character, or 0: not UTF-8."""
        return int(self._states[state][byte])

    def _state(self, continuing: NDArray[np.int32], is_text: bool) -> int:
        """The number of the state with these 64 ways on; 0 if there are none."""
        if not is_text:
            return 0
        key = continuing.astype(np.int32).tobytes()
        if key not in self._known:
            table = np.zeros(256, np.int32)
            table[0x80:0xC0] = continuing
            self._known[key] = len(self._states)
            self._states.append(table)
        return self._known[key]

    def _endings(self) -> list[frozenset[int]]:
        found: dict[int, frozenset[int]] = {}

        def endings(state: int) -> frozenset[int]:
            if state not in found:
                ways = set(self._states[state].tolist()) - {0}
                classes = {~way for way in ways if way < 0}
                for way in ways:
                    classes |= endings(way) if way > 0 else frozenset()
                found[state] = frozenset(classes)
            return found[state]

        return [endings(state) for state in range(len(self._states))]
