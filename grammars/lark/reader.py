"""Reads Lark grammar text with the `lark` package's own reader.

Rules stay in EBNF form: Lark expands alternatives and options into plain rules, which is
exponential in the number of optional parts of a rule; translating the tree is linear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lark import Tree
from lark.exceptions import LarkError, UnexpectedInput, VisitError
from lark.lexer import Pattern, Token
from lark.load_grammar import GrammarBuilder, PrepareLiterals, TerminalTreeToPattern

from guided.errors import GrammarError, GrammarTooLargeError
from guided.grammars.lark.locate import complaint, locate, longest_expansion

SyntaxTree = Tree[Any]

Complaint = Callable[[str], GrammarError]
"""Makes an error of what is wrong with a terminal."""

LONGEST_TEXT = 500_000  # characters
LONGEST_TERMINAL = 50_000  # characters of the regular expression that a terminal expands to


@dataclass(frozen=True, slots=True)
class RuleDefinition:
    """One rule (or template, if it has parameters); `tree` is None after a mere %declare."""

    parameters: tuple[str, ...]
    tree: SyntaxTree | None


@dataclass(frozen=True, slots=True)
class Definitions:
    """What a grammar text defines. A terminal that is only declared has the tree None."""

    text: str
    rules: Mapping[str, RuleDefinition]
    terminals: Mapping[str, SyntaxTree | None]
    ignored: tuple[str, ...]

    def error(self, message: str, name: str = "") -> GrammarError:
        """An error that points at `name` in the text, where it can be found."""
        line, column = locate(self.text, name) if name else (0, 0)
        return GrammarError(message, self.text, line, column)

    def error_at(self, token: Token, message: str) -> GrammarError:
        """An error about the literal `token`, which may stand in an imported text instead."""
        line, column = token.line or 0, token.column or 0
        lines = self.text.split("\n")
        here = line <= len(lines) and lines[line - 1].startswith(token, column - 1)
        place = (self.text, line, column) if here else ()
        return GrammarError(f"the terminal {token} {message}", *place)


def read(text: str) -> Definitions:
    """What `text` defines, imports included.

    Raises GrammarError (line, column, caret) for what Lark refuses, GrammarTooLargeError for text
    that is too long or nested too deeply.
    """
    if len(text) > LONGEST_TEXT:
        raise GrammarTooLargeError(
            f"the grammar text has {len(text)} characters, more than {LONGEST_TEXT}"
        )
    name, size = longest_expansion(text)
    if size > LONGEST_TERMINAL:  # Lark would expand it
        raise _too_long(name)
    try:
        builder = GrammarBuilder()
        builder.load_grammar(text, "<string>")
        grammar = builder.build()
    except RecursionError:
        raise GrammarTooLargeError("the grammar text is nested too deeply to be read") from None
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from None
    except (LarkError, OSError, ImportError, ValueError, AssertionError) as error:
        if isinstance(error.__context__, UnexpectedInput):
            raise _syntax_error(text, error.__context__, _first_line(error)) from None
        raise GrammarError(*complaint(text, error)) from None
    rules = {n: RuleDefinition(tuple(p), tree) for n, p, tree, _ in grammar.rule_defs}
    terminals = {name: tree for name, (tree, _) in grammar.term_defs}
    return Definitions(text, rules, terminals, tuple(grammar.ignore))


def _first_line(error: BaseException) -> str:
    return str(error).partition(", at line")[0].partition("\n")[0]


def _syntax_error(text: str, error: UnexpectedInput, message: str = "") -> GrammarError:
    if not message or message.startswith("Unexpected input"):
        token = getattr(error, "token", None) or getattr(error, "char", "")
        message = f"unexpected {str(token)!r}" if str(token).strip() else "unexpected end of line"
    return GrammarError(message, text, max(error.line, 0), max(error.column, 0))


def terminal_pattern(tree: SyntaxTree, name: str, error: Complaint) -> Pattern:
    """The pattern of the terminal `name` with the definition `tree`."""
    if _expanded_size(tree) > LONGEST_TERMINAL:
        raise _too_long(name)
    if not any(node.children for node in tree.find_data("expansion")):
        raise error("is empty")
    return literal_pattern(_copy(tree), error)


def _too_long(name: str) -> GrammarTooLargeError:
    return GrammarTooLargeError(
        f"terminal {name!r} expands to more than {LONGEST_TERMINAL} characters"
    )


def literal_pattern(tree: SyntaxTree, error: Complaint) -> Pattern:
    """The pattern of a literal, a range or a terminal's whole tree (which is used up).

    `error` makes an error of what is wrong with it.
    """
    try:
        pattern = (PrepareLiterals() * TerminalTreeToPattern()).transform(tree)
    except VisitError as reason:
        raise error(_reason(reason.orig_exc)) from None
    except (LarkError, AssertionError, ValueError, SyntaxError) as reason:
        raise error(_reason(reason)) from None
    if not isinstance(pattern, Pattern):
        raise error("uses a rule, which a terminal must not")
    return pattern


def _reason(error: Exception) -> str:
    if isinstance(error, AssertionError):
        return "is not a range from one character to another"
    return f"cannot be used: {str(error)[:1].lower()}{str(error)[1:]}"


def _expanded_size(tree: SyntaxTree) -> int:
    """How many characters `tree` stands for. Shared subtrees count as often as they are used."""
    sizes: dict[int, int] = {}
    stack = [tree]
    while stack:
        node = stack[-1]
        inner = [child for child in node.children if isinstance(child, Tree)]
        missing = [child for child in inner if id(child) not in sizes]
        stack.extend(missing)
        if not missing:
            leaves = sum(len(str(leaf)) for leaf in node.children if not isinstance(leaf, Tree))
            sizes[id(node)] = 1 + leaves + sum(sizes[id(child)] for child in inner)
            stack.pop()
    return sizes[id(tree)]


def _copy(tree: SyntaxTree) -> SyntaxTree:
    """A deep copy in which nothing is shared: Lark's transformers work in place."""
    return Tree(tree.data, [_copy(c) if isinstance(c, Tree) else c for c in tree.children])
