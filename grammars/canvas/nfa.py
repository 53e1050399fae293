"""Nondeterministic automata over bytes, the regular side of an intersection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from guided.errors import InputError
from guided.grammars.once import once

#: Every byte.
ANY = frozenset(range(256))


@dataclass(frozen=True)
class ByteNfa:
    """A regular language over bytes. Edges take one byte each; there are no empty ones.

    Attributes:
        n_states: states are 0 to `n_states - 1`.
        edges: (source, bytes that may be taken, target).
        starts: states in which a word may begin.
        accepting: states in which a word may end.

    Raises:
        InputError: a state or a byte is out of range.
    """

    n_states: int
    edges: tuple[tuple[int, frozenset[int], int], ...]
    starts: frozenset[int]
    accepting: frozenset[int]

    def __post_init__(self) -> None:
        used = {state for source, _, target in self.edges for state in (source, target)}
        used |= self.starts | self.accepting
        if any(not 0 <= state < self.n_states for state in used):
            raise InputError(f"an automaton of {self.n_states} states has no state {max(used)}")
        if any(not label <= ANY for _, label, _ in self.edges):
            raise InputError("edges of an automaton over bytes take bytes (0 to 255)")

    @classmethod
    def with_holes(cls, fragments: Sequence[bytes]) -> ByteNfa:
        """All texts that hold the `fragments` in order, with anything between two of them.

        An empty first or last fragment leaves that end open.
        """
        edges: list[tuple[int, frozenset[int], int]] = []
        at = 0
        for number, fragment in enumerate(fragments):
            if number:
                edges.append((at, ANY, at))
            for byte in fragment:
                edges.append((at, frozenset((byte,)), at + 1))
                at += 1
        return cls(at + 1, tuple(edges), frozenset((0,)), frozenset((at,)))

    @once
    def leaving(self) -> list[list[tuple[frozenset[int], int]]]:
        """(bytes, target) of the edges of every state."""
        table: list[list[tuple[frozenset[int], int]]] = [[] for _ in range(self.n_states)]
        for source, label, target in self.edges:
            table[source].append((label, target))
        return table

    def accepts(self, data: Iterable[int]) -> bool:
        """Whether the bytes are a word."""
        states = set(self.starts)
        for byte in data:
            states = {t for s in states for label, t in self.leaving[s] if byte in label}
        return not states.isdisjoint(self.accepting)
