"""The automaton of one terminal as tables that can be pooled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from guided.grammars.automata import Dfa
from guided.grammars.counted import string_automaton
from guided.kernels.liveness import fill_live, fill_survival
from guided.kernels.memo_arrays import (
    ACCEPT,
    FAR,
    NEAREST,
    OFFSET,
    ONWARD,
    REACH,
    SURVIVE,
    WIDTH,
)


@dataclass(frozen=True, slots=True, eq=False)
class Automaton:
    """Tables of one terminal's automaton: as in `Rules`, of this automaton alone."""

    transitions: NDArray[np.int32]
    classes: NDArray[np.uint8]
    fact: NDArray[np.int32]
    live: NDArray[np.uint64]

    @property
    def accepting(self) -> NDArray[np.bool_]:
        """bool [states]."""
        accepts: NDArray[np.bool_] = self.fact[:, ACCEPT] != 0
        return accepts

    @property
    def distance(self) -> NDArray[np.int32]:
        """int32 [states], fewest bytes to acceptance."""
        return self.fact[:, NEAREST]


@cache
def _charsets() -> NDArray[np.uint8]:
    """Single-byte charsets of the slices: word characters, plain JSON string characters."""
    marks = np.zeros((2, 256), np.uint8)
    for byte in range(0x20, 0x7F):
        word = chr(byte).isalnum() or byte == ord("_")
        marks[0, byte] = word
        marks[1, byte] = byte not in (ord('"'), ord("\\"))
    return marks


def _automaton(
    transitions: NDArray[np.int32],
    classes: NDArray[np.uint8],
    accepting: NDArray[np.bool_],
    distance: NDArray[np.int32],
) -> Automaton:
    states, width = transitions.shape
    fact = np.zeros((states, 6), np.int32)
    fact[:, ACCEPT] = accepting
    fact[:, NEAREST] = distance
    live = np.zeros((states, 4), np.uint64)
    dfa = np.zeros((2, 3), np.int64)
    dfa[1] = states
    dfa[1, OFFSET] = states * width
    dfa[0, WIDTH] = width
    columns, flat = classes.reshape(1, 256).copy(), transitions.reshape(-1).copy()
    fill_live(dfa, columns, flat, live)
    fact[:, ONWARD] = live.any(axis=1)
    fill_survival(dfa, columns, flat, _charsets(), REACH, fact[:, SURVIVE:])
    return Automaton(transitions, classes, fact, live)


@cache
def _string_tables() -> Automaton:
    dense, accepting, distance = string_automaton()
    columns, classes = np.unique(dense, axis=1, return_inverse=True)
    return _automaton(
        np.ascontiguousarray(columns), classes.reshape(-1).astype(np.uint8), accepting, distance
    )


def terminal_tables(dfa: Dfa | None) -> Automaton:
    """The automaton of a terminal, without the empty string (rules take care of that)."""
    if dfa is None:
        return _string_tables()
    if dfa.tables is None:
        dfa.tables = _of_dfa(dfa)
    found: Automaton = dfa.tables
    return found


def _of_dfa(dfa: Dfa) -> Automaton:
    if not dfa.accepting[0]:
        return _automaton(dfa.transitions, dfa.classes, dfa.accepting, dfa.distance)
    first = dfa.transitions[0]
    shifted = np.where(dfa.transitions >= 0, dfa.transitions + 1, -1).astype(np.int32)
    row = np.where(first >= 0, first + 1, -1).astype(np.int32)
    onward = dfa.distance[first[first >= 0]]
    nearest = int(onward.min()) + 1 if len(onward) else FAR
    return _automaton(
        np.vstack([row[None], shifted]),
        dfa.classes,
        np.concatenate([[False], dfa.accepting]),
        np.concatenate([[nearest], dfa.distance]).astype(np.int32),
    )


def restricted(automaton: Automaton, alphabet: frozenset[int]) -> Automaton:
    """The automaton of the words over `alphabet` only; the states keep their numbers."""
    outside = np.array([byte not in alphabet for byte in range(256)])
    dense = automaton.transitions[:, automaton.classes].copy()
    if not (dense[:, outside] >= 0).any():
        return automaton
    dense[:, outside] = -1
    distance = np.where(automaton.accepting, 0, FAR).astype(np.int32)
    while True:
        onward = np.where(dense >= 0, distance[dense], FAR).min(axis=1)
        shorter = np.minimum(distance, np.minimum(onward + 1, FAR)).astype(np.int32)
        if (shorter == distance).all():
            break
        distance = shorter
    dense[(dense >= 0) & (distance[dense] >= FAR)] = -1
    columns, classes = np.unique(dense, axis=1, return_inverse=True)
    return _automaton(
        np.ascontiguousarray(columns, np.int32),
        classes.reshape(-1).astype(np.uint8),
        automaton.accepting,
        distance,
    )
