"""What Lark itself says, and random grammars to ask it about."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from lark import Lark
from lark.exceptions import UnexpectedInput

TERMINALS = ("a", "b", "c", "ab", "/a|ab/", "/ab|a/", "/b+/", "/[ab]c?/", "/a??b/", "/(ab?)+/")
IGNORED = ("c", "/c+/", "/c|cb/", "/(ca)+/", "/cb*/", "/c.?/")


class LarkOracle:
    """Whether Lark's Earley parser with the dynamic_complete lexer accepts a text."""

    def __init__(self, grammar: str) -> None:
        self.parser = Lark(grammar, parser="earley", lexer="dynamic_complete", ambiguity="forest")

    def accepts(self, text: str) -> bool:
        try:
            self.parser.parse(text)
        except UnexpectedInput:
            return False
        except RuntimeError as error:
            # Lark derives the text both with and without skipping its end, and trips over that.
            return "multiple start symbol items" in str(error)
        return True


def random_grammar(rng: random.Random, *, ignoring: bool = False) -> str:
    """One to four rules over one to three terminals, recursive as it happens."""
    rules = [f"r{number}" for number in range(rng.randint(1, 4))]
    symbols = [_quoted(t) for t in rng.sample(TERMINALS, rng.randint(1, 3))] + rules
    lines = [f"{rule}: {_alternatives(rng, symbols)}" for rule in rules]
    if ignoring:
        lines += [f"%ignore {_quoted(t)}" for t in rng.sample(IGNORED, rng.randint(1, 2))]
    return "\n".join([*lines, f"start: {_sequence(rng, rules)}"])


def _quoted(terminal: str) -> str:
    return terminal if terminal.startswith("/") else f'"{terminal}"'


def _alternatives(rng: random.Random, symbols: list[str]) -> str:
    return " | ".join(_sequence(rng, symbols) for _ in range(rng.randint(1, 3)))


def _sequence(rng: random.Random, symbols: list[str]) -> str:
    return " ".join(_item(rng, symbols) for _ in range(rng.choice((1, 1, 2, 2, 3, 0))))


def _item(rng: random.Random, symbols: list[str]) -> str:
    chosen = rng.choice(symbols)
    shape = rng.random()
    if shape < 0.7:
        return chosen
    if shape < 0.8:
        return f"({chosen} {rng.choice(symbols)} | {rng.choice(symbols)})"
    return chosen + rng.choice(("?", "*", "+", " ~ 2", " ~ 0..2"))


@pytest.fixture
def oracle() -> type[LarkOracle]:
    return LarkOracle


@pytest.fixture
def random_lark() -> Callable[[int], str]:
    """A random grammar text for a seed."""
    return lambda seed: random_grammar(random.Random(seed))


@pytest.fixture
def random_skipping_lark() -> Callable[[int], str]:
    """A random grammar text, with ignored terminals, for a seed."""
    return lambda seed: random_grammar(random.Random(seed), ignoring=True)
