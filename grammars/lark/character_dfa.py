"""From an automaton over classes of code points to one over the bytes of their UTF-8 encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guided.grammars.automata import Dfa
from guided.grammars.lark.charsets import CharSet

# Number of bytes, first and last code point, bits that mark the first byte.
_LENGTHS = (
    (2, 0x80, 0x7FF, 0xC0),
    (3, 0x800, 0xFFFF, 0xE0),
    (4, 0x10000, 0x10FFFF, 0xF0),
)

Segments = tuple[tuple[int, int, int], ...]  # first and last number, target state


@dataclass(frozen=True, slots=True)
class CharacterDfa:
    """`edges[state]` lists (class, target); state 0 is the start."""

    classes: Sequence[CharSet]
    edges: Sequence[Sequence[tuple[int, int]]]
    accepting: Sequence[bool]


def byte_dfa(automaton: CharacterDfa) -> Dfa:
    """The same language, every character encoded as UTF-8."""
    encoder = _Encoder(len(automaton.accepting))
    for state, edges in enumerate(automaton.edges):
        segments = sorted(
            (low, high, target)
            for number, target in edges
            for low, high in automaton.classes[number]
        )
        encoder.add(state, _joined(segments))
    return encoder.dfa(automaton.accepting)


def _joined(segments: Sequence[tuple[int, int, int]]) -> Segments:
    result: list[tuple[int, int, int]] = []
    for low, high, target in segments:
        if result and result[-1][1] + 1 == low and result[-1][2] == target:
            result[-1] = (result[-1][0], high, target)
        else:
            result.append((low, high, target))
    return tuple(result)


class _Encoder:
    def __init__(self, n_states: int) -> None:
        self.rows: list[dict[int, int]] = [{} for _ in range(n_states)]
        self._shared: dict[tuple[int, Segments], int] = {}

    def add(self, state: int, segments: Segments) -> None:
        """Gives `state` the transitions of `segments`, which map code points to states."""
        row = self.rows[state]
        for low, high, target in segments:
            for byte in range(low, min(high, 0x7F) + 1):
                row[byte] = target
        for length, first, last, mark in _LENGTHS:
            part = _clipped(segments, first, last)
            for digit, rest in _split(part, 6 * (length - 1)).items():
                row[mark | digit] = self._continuation(length - 1, rest)

    def _continuation(self, count: int, segments: Segments) -> int:
        """The state from which `count` continuation bytes lead to the targets of `segments`."""
        if count == 0:
            return segments[0][2]
        key = (count, segments)
        if key not in self._shared:
            self._shared[key] = len(self.rows)
            self.rows.append({})
            row = self.rows[-1]
            for digit, rest in _split(segments, 6 * (count - 1)).items():
                row[0x80 | digit] = self._continuation(count - 1, rest)
        return self._shared[key]

    def dfa(self, accepting: Sequence[bool]) -> Dfa:
        table: NDArray[np.int32] = np.full((len(self.rows), 256), -1, dtype=np.int32)
        for state, row in enumerate(self.rows):
            table[state, list(row)] = list(row.values())
        final = np.zeros(len(self.rows), dtype=np.bool_)
        final[: len(accepting)] = accepting
        return Dfa(table, np.arange(256, dtype=np.uint8), final)


def _clipped(segments: Segments, first: int, last: int) -> Segments:
    return tuple(
        (max(low, first), min(high, last), target)
        for low, high, target in segments
        if low <= last and high >= first
    )


def _split(segments: Segments, bits: int) -> dict[int, Segments]:
    """The segments by their leading digit, each relative to it; `bits` follow the digit."""
    size = 1 << bits
    parts: dict[int, list[tuple[int, int, int]]] = {}
    for low, high, target in segments:
        for digit in range(low >> bits, (high >> bits) + 1):
            base = digit << bits
            piece = (max(low, base) - base, min(high, base + size - 1) - base, target)
            parts.setdefault(digit, []).append(piece)
    return {digit: tuple(part) for digit, part in parts.items()}
