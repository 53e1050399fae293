"""Where a branch's keys and values are: in a row that is being decoded, or at rest.

At rest they are a chain of immutable pieces. Branches with a common past share its pieces, so a
fork copies nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from guided.errors import InputError

Layers = Sequence[tuple[Tensor, Tensor]]


@dataclass(slots=True)
class Ledger:
    """Bytes that keys and values take.

    Attributes:
        limit: most bytes; None: no limit.
        held: bytes now.
        peak: most bytes so far.
    """

    limit: int | None = None
    held: int = 0
    peak: int = 0

    def add(self, n_bytes: int) -> None:
        """Counts bytes that were taken, or (negative) given back."""
        self.held += n_bytes
        self.peak = max(self.peak, self.held)

    def room(self) -> float:
        """Bytes that may still be taken."""
        return float("inf") if self.limit is None else self.limit - self.held

    def check(self, n_bytes: int, what: str) -> None:
        """Raises InputError if `n_bytes` alone are more than the limit."""
        if self.limit is not None and n_bytes > self.limit:
            raise InputError(
                f"{what} needs {n_bytes:,} bytes of keys and values; the limit is "
                f"{self.limit:,}. Raise kv_limit, or shorten the prompt or max_new_tokens."
            )


class Trunk:
    """Keys and values of some tokens that follow those of `parent`; immutable.

    Attributes:
        length: tokens in this piece.
        total: tokens in this piece and all before it.
        users: branches that have been built on it.
    """

    def __init__(self, layers: Layers, parent: Trunk | None, ledger: Ledger) -> None:
        self.layers = layers
        self.parent = parent
        self.length: int = layers[0][0].shape[2]
        self.total: int = self.length + (parent.total if parent is not None else 0)
        self.users = 1
        self.n_bytes = sum(keys.nbytes + values.nbytes for keys, values in layers)
        ledger.add(self.n_bytes)
        weakref.finalize(self, ledger.add, -self.n_bytes).atexit = False

    def chain(self) -> list[Trunk]:
        """All pieces, the first tokens first."""
        pieces: list[Trunk] = []
        at: Trunk | None = self
        while at is not None:
            pieces.append(at)
            at = at.parent
        return pieces[::-1]

    def share(self, branches: int) -> None:
        """Counts further branches on all pieces."""
        for piece in self.chain():
            piece.users += branches


class Place:
    """Where one branch's keys and values are, for one network.

    Attributes:
        row: the row that it is being decoded in; None at rest.
        trunk: what is at rest, in the form of its stage; None while decoded, or if evicted.
    """

    __slots__ = ("__weakref__", "row", "trunk")

    def __init__(self, row: int | None = None, trunk: Any = None) -> None:
        self.row = row
        self.trunk = trunk

    @property
    def is_lost(self) -> bool:
        """Whether what was here has been evicted."""
        return self.row is None and self.trunk is None

    def copy(self) -> Place:
        """Another place at the same rest."""
        return Place(trunk=self.trunk)
