"""Keys and values that are kept while a block is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

#: Keys and values `[heads, length, width]` of every layer.
Layers = tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True, eq=False)
class Memory:
    """Keys and values of the first `length` positions of one sequence.

    Attributes:
        beside: the same of the sequence without its prompt, where classifier-free guidance is on.
    """

    layers: Layers
    length: int
    beside: Memory | None = None

    @property
    def bytes(self) -> int:
        """Bytes that it takes, of what stands beside it too."""
        own = sum(part.nbytes for layer in self.layers for part in layer)
        return own + (self.beside.bytes if self.beside is not None else 0)
