"""What decoding has cost."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(slots=True)
class Usage:
    """Counts of work done; additive, except for the peak.

    Attributes:
        tokens: tokens drawn and kept.
        discarded: tokens drawn and thrown away (retries, closed branches).
        forced: kept tokens that were the only legal one.
        passes: forward passes of the model.
        positions: token positions that those passes computed, padding not counted.
        drafted: positions of those that were guesses.
        accepted: guesses that came true: tokens that cost no pass of their own.
        auxiliary_passes: forward passes of draft models and of models that controls brought.
        kv_bytes_peak: most bytes that keys and values took at a time.
        seconds: wall time.
    """

    tokens: int = 0
    discarded: int = 0
    forced: int = 0
    passes: int = 0
    positions: int = 0
    drafted: int = 0
    accepted: int = 0
    auxiliary_passes: int = 0
    kv_bytes_peak: int = 0
    seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        total = Usage(*(a + b for a, b in zip(_values(self), _values(other), strict=True)))
        total.kv_bytes_peak = max(self.kv_bytes_peak, other.kv_bytes_peak)
        return total

    def __sub__(self, other: Usage) -> Usage:
        left = Usage(*(a - b for a, b in zip(_values(self), _values(other), strict=True)))
        left.kv_bytes_peak = self.kv_bytes_peak
        return left


def _values(usage: Usage) -> list[Any]:
    return [getattr(usage, field.name) for field in fields(usage)]
