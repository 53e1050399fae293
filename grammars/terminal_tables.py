"""The automaton of one terminal as tables that can be pooled."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from guided.grammars.automata import Dfa
from guided.grammars.counted import string_automaton
from guided.kernels.memo_arrays import FAR


class Automaton:
    """Tables of one terminal's automaton, ready to be pooled."""

    __slots__ = ("accepting", "classes", "distance", "transitions")

    def __init__(
        self,
        transitions: NDArray[np.int32],
        classes: NDArray[np.uint8],
        accepting: NDArray[np.bool_],
        distance: NDArray[np.int32],
    ) -> None:
        self.transitions = transitions
        self.classes = classes
        self.accepting = accepting
        self.distance = distance


@cache
def _string_tables() -> Automaton:
    dense, accepting, distance = string_automaton()
    columns, classes = np.unique(dense, axis=1, return_inverse=True)
    return Automaton(
        np.ascontiguousarray(columns), classes.reshape(-1).astype(np.uint8), accepting, distance
    )


def terminal_tables(dfa: Dfa | None) -> Automaton:
    """The automaton of a terminal, without the empty string (rules take care of that)."""
    if dfa is None:
        return _string_tables()
    if not dfa.accepting[0]:
        return Automaton(dfa.transitions, dfa.classes, dfa.accepting, dfa.distance)
    first = dfa.transitions[0]
    shifted = np.where(dfa.transitions >= 0, dfa.transitions + 1, -1).astype(np.int32)
    row = np.where(first >= 0, first + 1, -1).astype(np.int32)
    onward = dfa.distance[first[first >= 0]]
    nearest = int(onward.min()) + 1 if len(onward) else FAR
    return Automaton(
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
    return Automaton(
        np.ascontiguousarray(columns, np.int32),
        classes.reshape(-1).astype(np.uint8),
        automaton.accepting,
        distance,
    )
