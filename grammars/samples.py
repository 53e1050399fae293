"""Grammars that come with guided, each with texts that it accepts and rejects."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from guided.errors import GrammarError
from guided.grammars.grammar import Grammar


@dataclass(frozen=True, slots=True)
class Sample:
    """A grammar text, with texts that it accepts and texts that it rejects."""

    name: str
    text: str
    accepted: tuple[str, ...]
    rejected: tuple[str, ...]
    compile: Callable[[str], Grammar]

    def grammar(self) -> Grammar:
        """The compiled grammar."""
        return self.compile(self.text)


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one format: `NAME.suffix` in a folder, its texts in `NAME.json` beside it."""

    folder: Traversable
    suffix: str
    compile: Callable[[str], Grammar]

    def names(self) -> list[str]:
        """The names of all."""
        end = f".{self.suffix}"
        found = (entry.name for entry in self.folder.iterdir())
        return sorted(name.removesuffix(end) for name in found if name.endswith(end))

    def named(self, name: str) -> Sample:
        """The sample `name`; raises GrammarError if there is none."""
        if name not in self.names():
            known = ", ".join(self.names())
            raise GrammarError(f"there is no sample grammar {name!r} (there are {known})")
        text = (self.folder / f"{name}.{self.suffix}").read_text(encoding="utf-8")
        texts = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        accepted, rejected = tuple(texts["accepted"]), tuple(texts["rejected"])
        return Sample(name, text, accepted, rejected, self.compile)
