"""The minimal deterministic automaton of a regular language over bytes."""

from __future__ import annotations

from collections.abc import Hashable
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.errors import GrammarTooLargeError
from guided.grammars.automata import program
from guided.grammars.once import once
from guided.kernels import automata as kernels
from guided.kernels import automata_product as products

MAX_STATES = program.MAX_STATES

Int32 = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]


class Dfa:
    """A regular language. Immutable; equal languages compare and hash equal.

    Every state can be reached and can accept, except in the empty language, which has one state
    of distance -1. State 0 is the start.

    Attributes:
        transitions: int32 [states, classes], -1 where no word goes on.
        classes: uint8 [256], the column of each byte.
        accepting: bool [states].
        distance: int32 [states], fewest bytes to acceptance.
        tables: what `grammars.terminal_tables` makes of it, kept with it.
    """

    transitions: Int32
    classes: Bytes
    accepting: Bools
    distance: Int32
    tables: Any = None

    def __init__(
        self, transitions: Int32, classes: Bytes, accepting: Bools, *, is_minimal: bool = False
    ) -> None:
        """Take any partial automaton that starts in state 0.

        `is_minimal` promises that it is trimmed and minimal, which saves the minimisation.
        """
        # One type for the compiled function: contiguous and writable.
        table = np.require(transitions, np.int32, ("C", "W"))
        byte_classes = np.require(classes, np.uint8, ("C", "W"))
        final = np.require(accepting, np.bool_, ("C", "W"))
        arrays = kernels.canonicalise(table, byte_classes, final, is_minimal)
        for array in arrays:
            array.setflags(write=False)
        self.transitions, self.classes, self.accepting, self.distance = arrays

    @once
    def key(self) -> bytes:
        """A content hash, the same for every automaton of this language."""
        digest = blake2b(np.array(self.transitions.shape, np.int64).tobytes(), digest_size=20)
        for array in (self.classes, self.accepting, self.transitions):
            digest.update(array.tobytes())
        return digest.digest()

    @property
    def identity(self) -> Hashable:
        """Equal only for automata of one language, and cheap; not equal for all of them."""
        return self.key

    @property
    def n_states(self) -> int:
        return len(self.accepting)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Dfa) and self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Dfa({self.n_states} states, {self.transitions.shape[1]} byte classes)"

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (self.transitions, self.classes, self.accepting, self.distance)

    def accepts(self, data: bytes) -> bool:
        """Whether `data` is a word of the language."""
        state = products.run(self.transitions, self.classes, np.frombuffer(data, np.uint8), 0)
        return bool(state >= 0 and self.accepting[state])

    def is_empty(self) -> bool:
        return self._is_empty

    @once
    def _is_empty(self) -> bool:
        return bool(self.distance[0] < 0)

    def accepts_empty(self) -> bool:
        return bool(self.accepting[0])

    def is_finite(self) -> bool:
        return self._longest >= 0

    @once
    def _longest(self) -> int:
        return int(products.longest(self.transitions))

    def longest_length(self) -> int | None:
        """Bytes of the longest word; None where there is no longest (or no word at all)."""
        return None if self.is_empty() or self._longest < 0 else self._longest

    def shortest(self) -> bytes | None:
        """The first of the shortest words; None where the language is empty."""
        return next(iter(self.words(1)), None)

    def words(self, limit: int) -> list[bytes]:
        """Up to `limit` words, shorter ones first, then in the order of bytes."""
        from guided.grammars.automata.words import first_words

        return first_words(self, limit)

    def __or__(self, other: Dfa) -> Dfa:
        return self._combine(other, products.UNION, "union")

    def __and__(self, other: Dfa) -> Dfa:
        return self._combine(other, products.INTERSECTION, "intersection")

    def __sub__(self, other: Dfa) -> Dfa:
        return self._combine(other, products.DIFFERENCE, "difference")

    def __add__(self, other: Dfa) -> Dfa:
        """The language of a word of this one followed by a word of the other."""
        return concatenate([self, other])

    def repeat(self, least: int = 0, most: int | None = None) -> Dfa:
        """`least` to `most` words of this language in a row (`most` None: no end)."""
        if least < 0 or (most is not None and most < least):
            raise ValueError(f"cannot repeat {least} to {most} times")
        parts = program.Program()
        parts.atom(self)
        parts.repeat(least, most)
        return from_program(parts, "repetition")

    def _combine(self, other: Dfa, operation: int, name: str) -> Dfa:
        status, *table = products.product(
            self.transitions,
            self.classes,
            self.accepting,
            other.transitions,
            other.classes,
            other.accepting,
            operation,
            False,
            MAX_STATES,
        )
        if status != kernels.OK:
            raise GrammarTooLargeError(
                f"the {name} of automata with {self.n_states} and {other.n_states} states needs "
                f"more than {MAX_STATES} states"
            )
        return Dfa(*table)

    def _meets(self, other: Dfa, operation: int) -> bool:
        """Whether the combination has a word; stops at the first."""
        status, *_ = products.product(
            self.transitions,
            self.classes,
            self.accepting,
            other.transitions,
            other.classes,
            other.accepting,
            operation,
            True,
            50 * MAX_STATES,
        )
        if status == kernels.TOO_MANY_STATES:
            raise GrammarTooLargeError(
                f"comparing automata with {self.n_states} and {other.n_states} states needs more "
                f"than {50 * MAX_STATES} pairs of states"
            )
        return bool(status == kernels.FOUND)


def restored(transitions: Int32, classes: Bytes, accepting: Bools, distance: Int32) -> Dfa:
    """The automaton that had these arrays."""
    dfa = object.__new__(Dfa)
    dfa.transitions, dfa.classes, dfa.accepting, dfa.distance = (
        transitions,
        classes,
        accepting,
        distance,
    )
    for array in (transitions, classes, accepting, distance):
        array.setflags(write=False)
    return dfa


def from_program(parts: program.Program, name: str) -> Dfa:
    """The automaton of a program; `name` is what an error calls it.

    Raises:
        GrammarTooLargeError: it needs more states or work than the limits of `program`.
    """
    return Dfa(*parts.determinise(name))


def concatenate(dfas: list[Dfa]) -> Dfa:
    parts = program.Program()
    for dfa in dfas:
        parts.atom(dfa)
    parts.concat(len(dfas))
    return from_program(parts, "concatenation")


def intersects(a: Dfa, b: Dfa) -> bool:
    """Whether some word is in both languages."""
    return a._meets(b, products.INTERSECTION)


def contains(a: Dfa, b: Dfa) -> bool:
    """Whether every word of `b` is in `a`."""
    return not b._meets(a, products.DIFFERENCE)
