"""GBNF text as a grammar."""

from __future__ import annotations

import re
from collections.abc import Mapping

from guided.errors import GrammarTooLargeError
from guided.grammars.gbnf.reader import read
from guided.grammars.gbnf.scanner import Scanner
from guided.grammars.grammar import Grammar
from guided.grammars.ir import GrammarSpec
from guided.grammars.kept_grammars import kept
from guided.grammars.regular_parts import join_regular_parts

START = "root"
LONGEST_TEXT = 500_000  # characters

# No line of a Lark grammar can begin like this: `name:` is followed by anything but `:=`.
_RULE = re.compile(r"^[ \t]*[A-Za-z0-9_-]+[ \t]*::=", re.MULTILINE)


def gbnf(
    text: str, start: str = START, *, special_tokens: Mapping[int, str] | None = None
) -> Grammar:
    """The grammar of the GBNF `text`, as llama.cpp reads it.

    Left recursion, which llama.cpp refuses, is allowed, and so are underscores in names. Token
    terms: `<name>` is the special token with this text; `<[id]>` is the one that `special_tokens`
    says; `!<name>*` and `!<name>+` are text without special tokens.

    Args:
        start: the rule to start from.
        special_tokens: the text of the special token that each `<[id]>` stands for.

    Raises:
        GrammarError: invalid text (with line and column), a rule that is undefined or defined
            twice, a range or a repetition that is the wrong way round, a class without a
            character, a lone surrogate, a token term that text cannot express.
        EmptyGrammarError: no text is accepted.
        GrammarTooLargeError: a stated limit is exceeded.

    Example:
        >>> gbnf('root ::= "a" root "b" | "c"').accepts(b"aacbb")
        True
    """
    if len(text) > LONGEST_TEXT:
        raise GrammarTooLargeError(
            f"the grammar text has {len(text)} characters, more than {LONGEST_TEXT}"
        )
    tokens = dict(special_tokens or {})

    def make() -> GrammarSpec:
        return join_regular_parts(GrammarSpec(read(Scanner(text), start, tokens), start))

    return kept(("gbnf", text, start, *sorted(tokens.items())), make, source=text)


def looks_like_gbnf(text: str) -> bool:
    """Whether some line begins a GBNF rule, which no line of a Lark grammar does."""
    return _RULE.search(text) is not None
