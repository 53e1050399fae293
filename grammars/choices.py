"""A grammar of a few fixed texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from guided.errors import GrammarError
from guided.grammars.automata import literals
from guided.grammars.ir import GrammarSpec, Lex

if TYPE_CHECKING:
    from guided.grammars.grammar import Grammar


def choices(texts: Sequence[str]) -> Grammar:
    """The grammar of exactly the given texts.

    Raises:
        GrammarError: no texts, one that is not a string, one that is given twice, or one that
            holds a lone surrogate and so has no UTF-8 form.
        GrammarTooLargeError: the texts need too large an automaton.

    >>> choices(["red", "green"]).accepts(b"red")
    True
    """
    from guided.grammars.grammar import Grammar

    lexeme = Lex(literals(_encoded(texts)), "choice")
    return Grammar(GrammarSpec({"start": lexeme}, "start"), source="choices")


def _encoded(texts: Sequence[str]) -> list[bytes]:
    """The texts in UTF-8, checked."""
    if isinstance(texts, str | bytes):
        raise GrammarError(f"choices must be a list of strings, not the one string {texts!r}")
    first_place: dict[str, int] = {}
    encoded = []
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise GrammarError(
                f"choice {place} is {text!r}, a {type(text).__name__}; choices must be strings"
            )
        if text in first_place:
            raise GrammarError(f"choice {place} repeats choice {first_place[text]}: {text!r}")
        first_place[text] = place
        try:
            encoded.append(text.encode())
        except UnicodeEncodeError as error:
            raise GrammarError(f"choice {place} has a lone surrogate: {text!r}") from error
    if not encoded:
        raise GrammarError("choices must hold at least one text")
    return encoded
