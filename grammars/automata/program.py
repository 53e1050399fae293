"""Regular expressions over automata, compiled as one program.

Building the whole expression first and determinising once costs far less than an automaton for
every step. The operations and their meaning stand in `guided.kernels.automata_nfa`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from guided.errors import GrammarTooLargeError
from guided.kernels import automata_nfa as kernels
from guided.kernels.automata import OK, TOO_MANY_STATES

if TYPE_CHECKING:
    from guided.grammars.automata.dfa import Dfa

MAX_STATES = 50_000
"""States of an automaton, before it is minimised."""
MAX_EDGES = 2_000_000
"""States and edges of the nondeterministic automaton that is expanded from an expression."""
MAX_WORK = 30_000_000
"""Steps of the subset construction, about a third of a second."""

Table = tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Constraint:
    """An automaton over bytes and marks that says where the empty string of a mark is allowed.

    `marks` is int32 [states, 1 + marks]: in column 0 whether the text may end in a state (1),
    may also go on freely (2), or neither (0); then the state after each mark, -1 where it is
    not allowed.
    """

    transitions: NDArray[np.int32]
    classes: NDArray[np.uint8]
    marks: NDArray[np.int32]

    @property
    def accepting(self) -> NDArray[np.bool_]:
        return np.zeros(len(self.transitions), np.bool_)


class Program:
    """A stack program that describes a regular language; every method appends an operation.

    Operands come first: `atom(a); atom(b); concat(2)`.
    """

    def __init__(self) -> None:
        self._operations: list[int] = []
        self._atoms: dict[Dfa, int] = {}
        self.has_marks = False

    def _number(self, dfa: Dfa) -> int:
        return self._atoms.setdefault(dfa, len(self._atoms))

    def atom(self, dfa: Dfa) -> None:
        """A word of `dfa`."""
        self._operations += (kernels.ATOM, self._number(dfa))

    def literal(self, data: bytes) -> None:
        """Exactly `data`."""
        self._operations += (kernels.LITERAL, len(data), *data)

    def epsilon(self) -> None:
        """The empty string."""
        self._operations.append(kernels.EPSILON)

    def never(self) -> None:
        """No string."""
        self._operations.append(kernels.NEVER)

    def concat(self, count: int) -> None:
        """The last `count` operands one after the other."""
        self._nary(kernels.CONCAT, count, kernels.EPSILON)

    def choice(self, count: int) -> None:
        """Any of the last `count` operands."""
        self._nary(kernels.CHOICE, count, kernels.NEVER)

    def _nary(self, operation: int, count: int, when_none: int) -> None:
        if count == 0:
            self._operations.append(when_none)
        elif count > 1:
            self._operations += (operation, count)

    def repeat(self, least: int, most: int | None) -> None:
        """The last operand `least` to `most` times."""
        if most == 0:
            # The operand stays on the stack, so it is joined with an alternative to it.
            self.repeat(1, 1)
            self._operations += (kernels.NEVER, kernels.CONCAT, 2, kernels.EPSILON)
            self._operations += (kernels.CHOICE, 2)
        elif (least, most) != (1, 1):
            limit = MAX_EDGES + 1
            top = -1 if most is None else min(most, limit)
            self._operations += (kernels.REPEAT, min(least, limit), top)

    def mark(self, number: int) -> None:
        """The empty string where the constraint of `determinise` allows mark `number` (from 1)."""
        self._operations += (kernels.MARK, number - 1)
        self.has_marks = True

    def tail(self, dfa: Dfa) -> None:
        """The last operand, then any number of words of `dfa`.

        Whatever follows an earlier end of the operand must be among those words: then all that
        follows is accepted, and other readings need not be tracked.
        """
        self._operations += (kernels.TAIL, self._number(dfa))

    def determinise(self, name: str, constraint: Constraint | None = None) -> Table:
        """The automaton as (table, classes, accepting), not yet canonical.

        Raises:
            GrammarTooLargeError: more states or work than the limits above; `name` is what the
                message calls the language.
        """
        atoms: list[Dfa | Constraint] = list(self._atoms)
        marks = np.zeros((0, 0), np.int32)
        if constraint is not None:
            atoms.append(constraint)
            marks = constraint.marks
        status, *table = kernels.compile_program(
            np.array(self._operations, np.int32),
            *_pack(atoms),
            marks,
            MAX_STATES,
            MAX_EDGES,
            MAX_WORK,
        )
        if status == TOO_MANY_STATES:
            raise GrammarTooLargeError(f"the {name} needs more than {MAX_STATES} states")
        if status != OK:
            raise GrammarTooLargeError(
                f"the {name} needs more than {MAX_EDGES} transitions or {MAX_WORK} steps to expand"
            )
        return table[0], table[1], table[2]


def _pack(
    atoms: list[Dfa | Constraint],
) -> tuple[
    NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.uint8]
]:
    """The atoms' arrays one after the other: tables, begins, sizes, accepting, classes."""
    if not atoms:
        return (
            np.zeros(0, np.int32),
            np.zeros((0, 2), np.int64),
            np.zeros((0, 2), np.int64),
            np.zeros(0, np.bool_),
            np.zeros((0, 256), np.uint8),
        )
    begins, sizes = [], []
    table_end = state_end = 0
    for atom in atoms:
        n, k = atom.transitions.shape
        begins.append((table_end, state_end))
        sizes.append((n, k))
        table_end += n * k
        state_end += n
    return (
        np.concatenate([atom.transitions.ravel() for atom in atoms]),
        np.array(begins, np.int64),
        np.array(sizes, np.int64),
        np.concatenate([atom.accepting for atom in atoms]),
        np.stack([atom.classes for atom in atoms]),
    )
