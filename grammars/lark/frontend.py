"""Lark grammar text as a grammar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lark import __version__ as version
from lark.lexer import Pattern, PatternStr

from guided.errors import GrammarError, GrammarTooLargeError, RegexError
from guided.grammars.automata import Dfa, literal
from guided.grammars.grammar import Grammar
from guided.grammars.ir import GrammarSpec, Lex, special_bytes
from guided.grammars.kept_grammars import kept
from guided.grammars.lark.reader import (
    Complaint,
    Definitions,
    SyntaxTree,
    literal_pattern,
    read,
    terminal_pattern,
)
from guided.grammars.lark.rules import Terminals, translate
from guided.grammars.lark.terminals import terminal_dfa
from guided.grammars.lark.weave import weave
from guided.grammars.regular_parts import join_regular_parts

START = "start"


def lark(
    text: str, start: str = START, *, special_tokens: Mapping[str, str] | None = None
) -> Grammar:
    """The grammar of the Lark EBNF `text`: what Lark accepts with Earley and `dynamic_complete`.

    Terminals match where `re` matches them, so /a|ab/ has no word "ab". Priorities do not change
    which texts are accepted.

    Args:
        start: the rule to start from.
        special_tokens: the special token that each terminal declared by `%declare` stands for.

    Raises:
        GrammarError: invalid text, an undefined or doubly defined name, a look-around, an anchor or
            a back-reference in a terminal, a terminal that matches the empty string.
        EmptyGrammarError: no text is accepted.
        GrammarTooLargeError: a stated limit is exceeded.

    Example:
        >>> lark('start: "a" start "b" | "c"').accepts(b"aacbb")
        True
    """
    tokens = dict(special_tokens or {})
    content = ("lark", version, text, start, *sorted(tokens.items()))
    return kept(content, lambda: lark_spec(text, start, special_tokens=tokens), source=text)


def lark_spec(
    text: str, start: str = START, *, special_tokens: Mapping[str, str] | None = None
) -> GrammarSpec:
    """The rules of `lark`, not yet compiled; an empty grammar is not an error yet."""
    try:
        return _spec(read(text), start, special_tokens or {})
    except RecursionError:
        raise GrammarTooLargeError("the grammar text is nested too deeply") from None


def _spec(definitions: Definitions, start: str, special_tokens: Mapping[str, str]) -> GrammarSpec:
    definition = definitions.rules.get(start)
    if definition is None:
        known = ", ".join(sorted(definitions.rules)[:8]) or "none"
        raise GrammarError(f"the grammar has no rule {start!r} to start from (its rules: {known})")
    if definition.parameters:
        raise definitions.error(f"the start rule {start!r} must not be a template", start)
    terminals = _Terminals(definitions, special_tokens)
    rules = translate(definitions, start, Terminals(terminals.named, terminals.literal))
    ignored = [terminals.named(name).dfa for name in definitions.ignored]
    return join_regular_parts(weave(GrammarSpec(rules, start), ignored))


@dataclass(slots=True)
class _Terminals:
    definitions: Definitions
    special_tokens: Mapping[str, str]
    known: dict[str, Lex] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.special_tokens:
            if self.definitions.terminals.get(name, 0) is not None:
                raise self.definitions.error(
                    f"the special token {name!r} must be announced by `%declare {name}`", name
                )

    def named(self, name: str) -> Lex:
        """The terminal `name`."""
        if name not in self.known:
            self.known[name] = Lex(self._dfa(name), name)
        return self.known[name]

    def literal(self, tree: SyntaxTree) -> Lex:
        """The anonymous terminal that a literal or a range stands for."""
        token: Any = tree.children[0]
        error = partial(self.definitions.error_at, token)
        shown = "..".join(map(str, tree.children))
        return Lex(_words(literal_pattern(tree.copy(), error), error), shown)

    def _dfa(self, name: str) -> Dfa:
        if name in self.special_tokens:
            return literal(special_bytes(self.special_tokens[name]))
        if name not in self.definitions.terminals:
            raise self.definitions.error(f"terminal {name!r} is not defined", name)
        error = partial(self._error, name)
        tree = self.definitions.terminals[name]
        if tree is None:
            raise error(
                "is declared but not defined: define it, or pass the special token that it stands "
                "for in `special_tokens`"
            )
        return _words(terminal_pattern(tree, name, error), error)

    def _error(self, name: str, message: str) -> GrammarError:
        return self.definitions.error(f"terminal {name!r} {message}", name)


def _words(pattern: Pattern, error: Complaint) -> Dfa:
    """The words of a terminal; `error` makes an error of what is wrong with it."""
    if isinstance(pattern, PatternStr) and not pattern.flags:
        try:
            return literal(pattern.value.encode())
        except UnicodeEncodeError:
            raise error("holds a lone surrogate, which no text can contain") from None
    try:
        dfa = terminal_dfa(pattern.to_regexp())
    except RegexError as reason:
        raise error(f"cannot be used: {reason.message} in /{pattern.to_regexp()[:80]}/") from None
    except GrammarTooLargeError as reason:
        raise GrammarTooLargeError(f"{error('is too large')}: {reason}") from None
    if dfa.accepts_empty():
        raise error("can match the empty string, which Lark does not allow")
    return dfa
