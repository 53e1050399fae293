"""Outcomes that were measured before, so that an interrupted run can go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from .outcome import Outcome


class Kept:
    """Outcomes by the names of what was measured, in a file as JSON lines.

    Args:
        path: the file; None: nothing is kept.
        setting: what else an outcome depends on; others in the file are not looked at.
    """

    def __init__(self, path: Path | None, setting: str) -> None:
        self.path = path
        self.setting = setting
        self.known: dict[str, Outcome] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                where, name = record.pop("setting"), record.pop("name")
                if where == setting:
                    self.known[name] = Outcome(**record)

    def get(self, names: Sequence[str], measure: Callable[[], Sequence[Outcome]]) -> list[Outcome]:
        """The outcomes of these names; measured, together, if one is missing."""
        if not all(name in self.known for name in names):
            for name, outcome in zip(names, measure(), strict=True):
                self.known[name] = outcome
                self._write(name, outcome)
        return [self.known[name] for name in names]

    def _write(self, name: str, outcome: Outcome) -> None:
        if self.path is None:
            return
        record = {"setting": self.setting, "name": name, **asdict(outcome)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
