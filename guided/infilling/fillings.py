"""What a model has put into holes, before it is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from guided.decoding.usage import Usage

#: Finish reasons of holes that are not filled.
UNFILLED = ("dead_end", "unknown", "open")


@dataclass(frozen=True)
class FilledRegion:
    """The bytes in one hole, the tokens that the model chose, and why it ended."""

    data: bytes
    tokens: tuple[int, ...]
    log_p: tuple[float, ...]
    finish_reason: str

    @property
    def is_complete(self) -> bool:
        """Whether the hole is filled."""
        return self.finish_reason not in UNFILLED


#: A hole that decoding did not come to.
OPEN = FilledRegion(b"", (), (), "open")


@dataclass
class Filling:
    """All holes, and what they have cost."""

    regions: list[FilledRegion] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    checks: int = 0
    unknown: int = 0
