"""Entries of a gazetteer of towns that do not exist, and the facts in them."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from . import grammar
from .grammar import Expansion
from .surface import polish

#: What a town can have of each kind. No word stands in two lists, so that a text tells them apart.
FACTS: dict[str, tuple[str, ...]] = {
    "craft": ("glass", "cheese", "rope", "paper", "lace", "honey", "salt", "leather"),
    "stone": ("granite", "slate", "brick", "timber", "marble", "sandstone", "clay", "flint"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "beast": ("stag", "bear", "raven", "hare", "otter", "bull", "swan", "boar"),
    "office": ("mayor", "provost", "bailiff", "abbot", "reeve", "steward", "warden", "marshal"),
}
TOWNS, KNOWN, SEED = 48, 16, 2_718
_BEGIN = ("Al", "Bel", "Cor", "Dor", "El", "Fal", "Gor", "Hel", "Kel", "Lor", "Mar", "Nor")
_END = ("bach", "dun", "fell", "gate", "ham", "ley", "mor", "ness", "rick", "sted", "ton", "vik")


@dataclass(frozen=True)
class Town:
    """A town and its facts; `known` says whether both models can know them."""

    name: str
    facts: dict[str, str]
    known: bool

    def prompt(self) -> str:
        return f"Gazetteer: {self.name}\n"


def some_facts(rng: random.Random) -> dict[str, str]:
    """Facts of a town, all equally likely."""
    return {kind: rng.choice(values) for kind, values in FACTS.items()}


def towns() -> list[Town]:
    """All towns, those that both models know first; the same ones every time."""
    rng = random.Random(SEED)
    names = rng.sample([begin + end for begin in _BEGIN for end in _END], TOWNS)
    return [Town(name, some_facts(rng), i < KNOWN) for i, name in enumerate(names)]


def entry(facts: dict[str, str], rng: random.Random) -> str:
    """What a gazetteer says of a town with these facts, in one of several wordings."""
    shown = {kind: {"text": value} for kind, value in facts.items()}
    told = Expansion(grammar.load("town"), shown, {}, lambda kind: kind, rng).rule("entry")
    return polish(told + ".", {}).text


def facts_right(text: str, facts: dict[str, str]) -> int:
    """How many of the facts a text states; of each kind the first word that it uses counts."""
    said = re.findall(r"\w+", text)
    first = {
        kind: next((word for word in said if word in values), None)
        for kind, values in FACTS.items()
    }
    return sum(first[kind] == value for kind, value in facts.items())
