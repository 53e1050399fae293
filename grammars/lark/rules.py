"""Translates rule trees, templates included, into expressions over terminals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lark import Tree
from lark.grammar import NonTerminal, Symbol

from guided.errors import GrammarError, GrammarTooLargeError
from guided.grammars.ir import Alt, Expr, Ref, Repeat, Seq
from guided.grammars.lark.reader import Definitions, SyntaxTree

MOST_INSTANCES = 2_000  # of all templates together


@dataclass(frozen=True, slots=True)
class Argument:
    """What a template parameter stands for. `key` tells arguments apart in the instance's name."""

    key: str
    expr: Expr


Environment = Mapping[str, Argument]


@dataclass(frozen=True, slots=True)
class Terminals:
    """Where expressions for terminals come from: by name, or for an anonymous literal's tree."""

    named: Callable[[str], Expr]
    literal: Callable[[SyntaxTree], Expr]


def translate(definitions: Definitions, start: str, terminals: Terminals) -> dict[str, Expr]:
    """The rules that `start` reaches.

    Raises GrammarError for what is undefined or misused, GrammarTooLargeError for templates that
    instantiate each other without end, RecursionError for groups that are nested too deeply.
    """
    return _Translator(definitions, terminals).run(start)


class _Translator:
    def __init__(self, definitions: Definitions, terminals: Terminals) -> None:
        self.definitions = definitions
        self.terminals = terminals
        self.rule = ""  # the one being translated
        self.pending: list[tuple[str, str, Environment]] = []  # rule, its definition, arguments
        self.seen: set[str] = set()
        self.instances = 0

    def run(self, start: str) -> dict[str, Expr]:
        rules: dict[str, Expr] = {}
        self._reference(start, start, {})
        while self.pending:
            name, self.rule, environment = self.pending.pop()
            tree = self.definitions.rules[self.rule].tree
            if tree is None:
                raise self._error(f"rule {self.rule!r} is declared but not defined", self.rule)
            rules[name] = self._expr(tree, environment)
        return rules

    def _error(self, message: str, name: str = "") -> GrammarError:
        return self.definitions.error(message, name or self.rule)

    def _reference(self, name: str, definition: str, environment: Environment) -> Ref:
        if definition not in self.definitions.rules:
            raise self._error(f"rule {definition!r} is not defined", definition)
        if name not in self.seen:
            self.seen.add(name)
            self.pending.append((name, definition, environment))
        return Ref(name)

    def _expr(self, node: Any, environment: Environment) -> Expr:
        if not isinstance(node, Tree):
            return self._symbol(node, environment)
        return _TRANSLATIONS[node.data](self, node, environment)

    def _symbol(self, symbol: Symbol, environment: Environment) -> Expr:
        if argument := environment.get(symbol.name):
            return argument.expr
        if not isinstance(symbol, NonTerminal):
            return self.terminals.named(symbol.name)
        definition = self.definitions.rules.get(symbol.name)
        if definition and definition.parameters:
            raise self._error(f"template {symbol.name!r} is used without arguments")
        return self._reference(symbol.name, symbol.name, {})

    def _alternatives(self, node: SyntaxTree, environment: Environment) -> Expr:
        parts = tuple(dict.fromkeys(self._expr(child, environment) for child in node.children))
        return parts[0] if len(parts) == 1 else Alt(parts)

    def _sequence(self, node: SyntaxTree, environment: Environment) -> Expr:
        parts = tuple(self._expr(child, environment) for child in node.children)
        return parts[0] if len(parts) == 1 else Seq(parts)

    def _first(self, node: SyntaxTree, environment: Environment) -> Expr:
        return self._expr(node.children[0], environment)

    def _optional(self, node: SyntaxTree, environment: Environment) -> Expr:
        return Repeat(self._first(node, environment), 0, 1)

    def _repeated(self, node: SyntaxTree, environment: Environment) -> Expr:
        operator, *counts = (str(child) for child in node.children[1:])
        part = self._first(node, environment)
        if operator != "~":
            least, most = {"?": (0, 1), "*": (0, None), "+": (1, None)}[operator]
            return Repeat(part, least, most)
        low, high = int(counts[0]), int(counts[-1])
        if not 0 <= low <= high:
            raise self._error(f"cannot repeat {low}..{high} times in rule {self.rule!r}")
        return Repeat(part, low, high)

    def _literal(self, node: SyntaxTree, environment: Environment) -> Expr:
        return self.terminals.literal(node)

    def _template(self, node: SyntaxTree, environment: Environment) -> Expr:
        head: Any = node.children[0]
        bound = environment.get(head.name)
        name = bound.key if bound else head.name
        arguments = [self._argument(value, environment) for value in node.children[1:]]
        definition = self.definitions.rules.get(name)
        if definition is None or len(definition.parameters) != len(arguments):
            raise self._error(f"{name!r} is not a template with {len(arguments)} parameters")
        self.instances += 1
        if self.instances > MOST_INSTANCES:
            raise GrammarTooLargeError(
                f"templates are instantiated more than {MOST_INSTANCES} times, last {name!r}"
            )
        instance = f"{name}{{{','.join(argument.key for argument in arguments)}}}"
        bindings = dict(zip(definition.parameters, arguments, strict=True))
        return self._reference(instance, name, bindings)

    def _argument(self, value: Any, environment: Environment) -> Argument:
        inner = value.children[0] if isinstance(value, Tree) and value.data == "value" else value
        if isinstance(inner, Symbol):
            if bound := environment.get(inner.name):
                return bound
            definition = self.definitions.rules.get(inner.name)
            if isinstance(inner, NonTerminal) and definition and definition.parameters:
                return Argument(inner.name, Ref(inner.name))  # a template to be used as one
            return Argument(inner.name, self._symbol(inner, environment))
        expr = self._expr(inner, environment)
        key = expr.name if isinstance(expr, Ref) else " ".join(map(str, inner.children))
        return Argument(key, expr)


_TRANSLATIONS: dict[str, Callable[[_Translator, SyntaxTree, Environment], Expr]] = {
    "expansions": _Translator._alternatives,
    "expansion": _Translator._sequence,
    "alias": _Translator._first,
    "value": _Translator._first,
    "maybe": _Translator._optional,
    "expr": _Translator._repeated,
    "literal": _Translator._literal,
    "range": _Translator._literal,
    "template_usage": _Translator._template,
}
