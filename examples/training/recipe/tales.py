"""Small tales, and those among them that stand for protected texts. All are made up."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache

from . import grammar
from .grammar import Expansion
from .splits import WORDS
from .surface import polish

SENTENCES = 4
PROTECTED, PROTECTED_SEED = 32, 3_141
PROMPT_WORDS = 12
_IRREGULAR = {"goose": "geese", "wolf": "wolves", "scarf": "scarves"}


@dataclass(frozen=True)
class Passage:
    """A protected text, cut after its first words."""

    prompt: str
    continuation: str

    @property
    def text(self) -> str:
        return self.prompt + self.continuation


def plural(noun: str) -> str:
    """The plural of a noun of the tales."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if re.search(r"(s|x|ch|sh)$", noun):
        return noun + "es"
    return re.sub(r"(?<![aeiou])y$", "ie", noun) + "s"


@cache
def tale_words(kind: str) -> tuple[str, ...]:
    """The words of `words/tale_<kind>.txt`."""
    listed = (WORDS / f"tale_{kind}.txt").read_text(encoding="utf-8")
    return tuple(word.strip() for word in listed.split(","))


def tale(rng: random.Random) -> str:
    """Sentences that have little to do with each other."""

    def fresh(kind: str) -> str:
        return plural(fresh("noun")) if kind == "nouns" else rng.choice(tale_words(kind))

    made = Expansion(grammar.load("tale"), {}, {}, fresh, rng)
    return polish(". ".join(made.rule("sentence") for _ in range(SENTENCES)) + ".", {}).text


def protected_passages() -> list[Passage]:
    """The texts that only the risky model saw; the same ones every time."""
    rng = random.Random(PROTECTED_SEED)
    return [cut(tale(rng)) for _ in range(PROTECTED)]


def cut(text: str) -> Passage:
    """The text after its first `PROMPT_WORDS` words, the space before the next word kept."""
    begin = re.match(rf"\S+(?: \S+){{{PROMPT_WORDS - 1}}}", text)
    if begin is None:
        raise ValueError(f"fewer than {PROMPT_WORDS} words: {text!r}")
    return Passage(begin[0], text[begin.end() :])
