"""The words of an automaton in order of length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from guided.grammars.automata.dfa import Dfa


def first_words(dfa: Dfa, limit: int) -> list[bytes]:
    """Up to `limit` words, shorter ones first, then in the order of bytes.

    The time is proportional to the words returned, times their length and the states.
    """
    found: list[bytes] = []
    if dfa.is_empty() or limit <= 0:
        return found
    padded = np.append(dfa.transitions, np.full((1, dfa.transitions.shape[1]), -1, np.int32), 0)
    # Row r of `exact` tells which states accept some word of exactly r bytes.
    exact: list[NDArray[np.bool_]] = [np.append(dfa.accepting, False)]
    edges = _Edges(dfa)
    longest = dfa.longest_length()
    length = 0
    while len(found) < limit and (longest is None or length <= longest):
        if exact[length][0]:
            for word in _words_of_length(edges, exact, length):
                found.append(word)
                if len(found) == limit:
                    break
        exact.append(exact[length][padded].any(axis=1))
        length += 1
    return found


def _words_of_length(edges: _Edges, exact: list[NDArray[np.bool_]], length: int) -> Iterator[bytes]:
    """The words of one length in the order of bytes, depth first without recursion."""
    if length == 0:
        yield b""
        return
    word = bytearray(length)
    pending = [iter(edges[0])]
    while pending:
        depth = len(pending) - 1
        ahead = exact[length - depth - 1]
        for byte, target in pending[depth]:
            if ahead[target]:
                word[depth] = byte
                break
        else:
            pending.pop()
            continue
        if depth + 1 == length:
            yield bytes(word)
        else:
            pending.append(iter(edges[target]))


class _Edges(dict[int, list[tuple[int, int]]]):
    """The transitions (byte, target) of each state in the order of bytes, filled when asked for."""

    def __init__(self, dfa: Dfa) -> None:
        self.dfa = dfa

    def __missing__(self, state: int) -> list[tuple[int, int]]:
        targets = self.dfa.transitions[state][self.dfa.classes]
        self[state] = [(int(byte), int(targets[byte])) for byte in np.flatnonzero(targets >= 0)]
        return self[state]
