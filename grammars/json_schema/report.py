"""What became of each keyword: the record behind `explain` and behind refusals."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

from guided.errors import UnsupportedSchemaError
from guided.grammars.json_schema.document import Node

Status = Literal["enforced", "annotation", "unsupported"]


class UnsupportedKeywordWarning(UserWarning):
    """An assertion was dropped because `on_unsupported="warn"` was asked for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One keyword at one place. `note` says how it is enforced, or why it is not."""

    pointer: str
    keyword: str
    status: Status
    note: str


class Report:
    """Collects entries; decides whether a refusal is an error, a warning, or only noted."""

    def __init__(self, on_unsupported: Literal["error", "warn", "note"]) -> None:
        self.entries: dict[tuple[str, str], Entry] = {}
        self._on_unsupported = on_unsupported

    def add(self, pointer: str, keyword: str, status: Status, note: str) -> None:
        """Record a keyword; a refusal is not overwritten by what follows."""
        known = self.entries.get((pointer, keyword))
        if known is None or known.status != "unsupported":
            self.entries[pointer, keyword] = Entry(pointer, keyword, status, note)

    def visit(self, node: Node) -> None:
        """Called for every schema that is looked at; notes nothing here."""

    def follow(self, node: Node) -> None:
        """Called for every reference that stands for a whole schema; notes nothing here."""

    def refuse(self, pointer: str, keyword: str, reason: str) -> None:
        """Raise UnsupportedSchemaError, or go on without the keyword where that was asked for."""
        if self._on_unsupported == "error":
            raise UnsupportedSchemaError(f"{keyword}: {reason}", pointer, keyword)
        known = self.entries.get((pointer, keyword))
        if known is not None and known.status == "unsupported":
            return
        self.add(pointer, keyword, "unsupported", reason)
        if self._on_unsupported == "warn":
            message = f"{keyword} at {pointer} is not enforced: {reason}"
            warnings.warn(message, UnsupportedKeywordWarning, stacklevel=2)
