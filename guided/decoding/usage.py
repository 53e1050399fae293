"""What decoding has cost."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Usage:
    """Counts of work done; additive.

    Attributes:
        tokens: tokens drawn and kept.
        discarded: tokens drawn and thrown away (retries, closed branches).
        forced: kept tokens that were the only legal one.
        passes: forward passes of the model.
        positions: token positions that those passes computed, padding not counted.
        seconds: wall time.
    """

    tokens: int = 0
    discarded: int = 0
    forced: int = 0
    passes: int = 0
    positions: int = 0
    seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            *(getattr(self, field.name) + getattr(other, field.name) for field in fields(Usage))
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            *(getattr(self, field.name) - getattr(other, field.name) for field in fields(Usage))
        )
