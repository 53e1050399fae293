"""What a constraint answers."""

from enum import Enum


class Verdict(Enum):
    """Whether something can still be completed; unknown where finding out took too long."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
