"""Regular expressions as grammars: Python's `re` and the ECMAScript of JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guided.grammars.regex.compile import Dialect, compile_regex

if TYPE_CHECKING:
    from guided.grammars.grammar import Grammar

__all__ = ["Dialect", "compile_regex", "regex"]


def regex(pattern: str, flags: int = 0) -> Grammar:
    """The grammar of the texts that ``re.fullmatch(pattern, text, flags)`` accepts.

    Raises:
        RegexError: the pattern is invalid, or uses look-around, back-references, conditionals,
            atomic groups or possessive quantifiers; the message shows the column.
        EmptyGrammarError: nothing matches the pattern.
        GrammarTooLargeError: the pattern needs too large an automaton.

    >>> regex("(yes|no)!?").accepts(b"yes!")
    True
    """
    from guided.grammars.ir import GrammarSpec, Lex
    from guided.grammars.kept_grammars import kept

    def make() -> GrammarSpec:
        lexeme = Lex(compile_regex(pattern, "python", flags), "regex")
        return GrammarSpec({"start": lexeme}, "start")

    return kept(("regex", pattern, int(flags)), make, source=pattern)
