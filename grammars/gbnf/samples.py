"""The GBNF grammars that come with guided, each with texts that it accepts and rejects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files

from guided.errors import GrammarError
from guided.grammars.gbnf.frontend import gbnf
from guided.grammars.grammar import Grammar

_FOLDER = files(__package__) / "examples"


@dataclass(frozen=True, slots=True)
class Sample:
    """A GBNF text, with texts that it accepts and texts that it rejects."""

    name: str
    text: str
    accepted: tuple[str, ...]
    rejected: tuple[str, ...]

    def grammar(self) -> Grammar:
        """The compiled grammar."""
        return gbnf(self.text)


def sample_names() -> list[str]:
    """The names of all GBNF sample grammars."""
    return sorted(
        entry.name.removesuffix(".gbnf")
        for entry in _FOLDER.iterdir()
        if entry.name.endswith(".gbnf")
    )


def sample(name: str) -> Sample:
    """The GBNF sample grammar `name`; raises GrammarError if there is none."""
    if name not in sample_names():
        known = ", ".join(sample_names())
        raise GrammarError(f"there is no GBNF sample grammar {name!r} (there are {known})")
    text = (_FOLDER / f"{name}.gbnf").read_text(encoding="utf-8")
    texts = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return Sample(name, text, tuple(texts["accepted"]), tuple(texts["rejected"]))
