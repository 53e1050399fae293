"""The form into which every grammar front-end translates: rules over regular pieces.

A grammar is a context-free grammar over *bytes* whose terminals are regular languages. There is no
lexer that decides by itself: a terminal may end wherever its automaton accepts, and every reading
is followed. (A front-end whose terminals mean less than that, as Lark's do, says so in the
language that it hands over.)

Special tokens are terminals of their own: `special_bytes(text)` is a byte string that no text can
contain, and the vocabulary stores special tokens under it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from guided.grammars.automata import Dfa

#: Name of the terminals that hold free text before a trigger (see `GrammarState.in_free_text`).
FREE_TEXT = "free text"
#: Name of the terminals that open an array whose items must differ (see `grammars.distinct`).
DISTINCT = "[ of distinct items"
#: With it begin the names of the same where an item may use up what later ones need; the values
#: that these may need follow as a JSON list.
SCARCE = "[ of items that may run out: "


def special_bytes(text: str) -> bytes:
    """The reserved byte string that stands for the special token `text` (0xFF is never UTF-8)."""
    return b"\xff" + text.encode() + b"\xff"


def special_texts(dfa: Dfa) -> set[str]:
    """The special tokens that stand in words of `dfa`."""
    edges = dfa.transitions[:, dfa.classes]
    if not (edges[:, 0xFF] >= 0).any():
        return set()
    found: set[str] = set()
    outside, waiting = {0}, [0]
    while waiting:
        state = waiting.pop()
        following = set(edges[state, :0xFF].tolist())
        if edges[state, 0xFF] >= 0:
            for name, after in _special_names(edges, int(edges[state, 0xFF])):
                found.add(name.decode())
                following.add(after)
        new = following - outside - {-1}
        outside |= new
        waiting += new
    return found


def _special_names(edges: NDArray[np.int32], inside: int) -> Iterator[tuple[bytes, int]]:
    """The bytes of special tokens that begin before `inside`, and the state after each."""
    waiting = [(b"", inside)]
    while waiting:
        name, state = waiting.pop()
        for byte in np.flatnonzero(edges[state] >= 0).tolist():
            if byte == 0xFF:
                yield name, int(edges[state, byte])
            else:
                waiting.append((name + bytes([byte]), int(edges[state, byte])))


class Expr:
    """A right-hand side. Immutable and hashable."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Lex(Expr):
    """A regular language over bytes. The empty string may belong to it."""

    dfa: Dfa
    name: str = field(default="", compare=False)

    @property
    def is_kept_apart(self) -> bool:
        """Whether the text opens an array whose items must differ."""
        name = self.name
        return name[:1] == DISTINCT[0] and (name == DISTINCT or name.startswith(SCARCE))


@dataclass(frozen=True, slots=True)
class CountedString(Expr):
    """A JSON string literal, quotes included, of `least` to `most` code points (most None: no end).

    The count runs beside the automaton, so that no limit is too large. Escapes count as the one
    code point that they stand for.
    """

    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Ref(Expr):
    """A use of the rule `name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Seq(Expr):
    """All `parts`, one after the other; `Seq(())` is the empty string."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Alt(Expr):
    """Any one of `parts`; `Alt(())` is the empty language."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Repeat(Expr):
    """`part` repeated `least` to `most` times (most None: no end)."""

    part: Expr
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One member of `Members`."""

    expr: Expr
    required: bool = True


@dataclass(frozen=True, slots=True)
class Members(Expr):
    """Members of an object: each at most once, `separator` between two that are present.

    `in_order` keeps the order of `members`; otherwise any order is allowed (state grows with what
    was seen, never with the number of orders). `extra` may be repeated after the ordered members
    (anywhere, where the order is free). `least` and `most` bound the number of members, extras
    included.
    """

    members: tuple[Member, ...]
    separator: Expr
    extra: Expr | None = None
    in_order: bool = True
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Net(Expr):
    """A graph: its texts are those of `edges` on a way from state 0 to state 1.

    An edge is (source, what stands there, target); states are numbered below `n_states`.
    """

    n_states: int
    edges: tuple[tuple[int, Expr, int], ...]


@dataclass(frozen=True, slots=True)
class GrammarSpec:
    """Rules by name and the name of the start rule."""

    rules: Mapping[str, Expr]
    start: str
