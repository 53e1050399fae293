"""How much a canvas may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CanvasLimits:
    """How much one answer may take; beyond it is UNKNOWN, never wrong.

    Attributes:
        words: 64-bit words of the tables of one canvas.
        inner_positions: places inside of masked slots at which rules may begin and end.
        kept: successors of a canvas that it remembers.
    """

    words: int = 1 << 25
    inner_positions: int = 1000
    kept: int = 256
