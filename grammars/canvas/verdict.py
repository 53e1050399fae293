"""What is known about a canvas that is partly filled."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    """Whether a canvas can still be completed. YES and NO are proven, UNKNOWN is not settled."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
