"""A small template grammar: rules in text files, expanded at random into sentences.

A file holds rules. `name:` starts one; each following line is an alternative, `3*` in front
gives it a weight. Inside an alternative:

    @rule            another rule
    [a|b|]           one of these, inline, may be nested
    <am|is>          first form in a first-person text, second form otherwise
    {age}  {paid:adj}  a fact, in its default or a named form; each fact is told at most once
    {=first}         a helper that may be repeated (a pronoun, a first name)
    {~city}          a fresh value of that kind that is *not* part of the record
    a/an             the article that fits what follows
    \\n               a line break
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

GRAMMARS = Path(__file__).parent / "grammars"
OPEN, MIDDLE, CLOSE = "\ue000", "\ue002", "\ue001"
_TOKEN = re.compile(r"@(\w+)|\{([=~]?)(\w+)(?::(\w+))?\}|([\[\]|<>])|([^@{}\[\]|<>]+)")


class DeadEndError(Exception):
    """No alternative fits: every fact that it could tell is told already."""


@dataclass(frozen=True)
class Ref:
    rule: str


@dataclass(frozen=True)
class Slot:
    kind: str
    name: str
    form: str


@dataclass(frozen=True)
class Choice:
    options: tuple[tuple[Node, ...], ...]
    by_voice: bool = False


Node = str | Ref | Slot | Choice
Rules = dict[str, list[tuple[float, tuple[Node, ...]]]]


def parse(text: str) -> tuple[Node, ...]:
    """The nodes of one alternative."""
    tokens = list(_TOKEN.finditer(text))
    if "".join(token[0] for token in tokens) != text:
        raise ValueError(f"not a template: {text!r}")
    nodes, rest = _sequence(tokens, 0)
    if rest != len(tokens):
        raise ValueError(f"unbalanced brackets in {text!r}")
    return nodes


def _sequence(tokens: list[re.Match[str]], at: int) -> tuple[tuple[Node, ...], int]:
    nodes: list[Node] = []
    while at < len(tokens) and tokens[at][5] not in ("|", "]", ">"):
        rule, kind, name, form, bracket, literal = tokens[at].groups()
        at += 1
        if bracket:
            choice, at = _choice(tokens, at, bracket == "<")
            nodes.append(choice)
        elif rule:
            nodes.append(Ref(rule))
        else:
            nodes.append(Slot(kind, name, form or "text") if name else literal)
    return tuple(nodes), at


def _choice(tokens: list[re.Match[str]], at: int, by_voice: bool) -> tuple[Choice, int]:
    options = []
    while True:
        option, at = _sequence(tokens, at)
        options.append(option)
        at += 1
        if tokens[at - 1][5] != "|":
            return Choice(tuple(options), by_voice), at


@cache
def load(name: str) -> Rules:
    """The rules of `grammars/<name>.txt` together with the common ones."""
    rules: Rules = {} if name == "common" else dict(load("common"))
    current = ""
    for line in (GRAMMARS / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if re.fullmatch(r"\w+:", line):
            current = line[:-1]
            rules[current] = []
            continue
        weight, body = re.fullmatch(r"(?:([\d.]+)\*)?(.*)", line).groups()  # type: ignore[union-attr]
        body = body.replace("\\n", "\n").replace("\\s", " ")
        rules[current].append((float(weight or 1), parse(body)))
    return rules


@dataclass
class Expansion:
    """One text in the making. `facts` maps a slot to its surface forms."""

    rules: Rules
    facts: Mapping[str, Mapping[str, str]]
    helpers: Mapping[str, str]
    fresh: Callable[[str], str]
    rng: random.Random
    first_person: bool = False
    told: set[str] = field(default_factory=set)

    def rule(self, name: str) -> str:
        """A random expansion of a rule, with facts between private marks."""
        left = list(self.rules[name])
        while left:
            pick = self.rng.choices(range(len(left)), [weight for weight, _ in left])[0]
            before = set(self.told)
            try:
                return self.sequence(left.pop(pick)[1])
            except DeadEndError:
                self.told = before
        raise DeadEndError(name)

    def sequence(self, nodes: tuple[Node, ...]) -> str:
        return "".join(self.node(node) for node in nodes)

    def node(self, node: Node) -> str:
        if isinstance(node, str):
            return node
        if isinstance(node, Ref):
            return self.rule(node.rule)
        if isinstance(node, Slot):
            return self.slot(node)
        return self.choice(node)

    def choice(self, node: Choice) -> str:
        if node.by_voice:
            return self.sequence(node.options[0 if self.first_person else 1])
        before = set(self.told)
        for option in self.rng.sample(node.options, len(node.options)):
            try:
                return self.sequence(option)
            except DeadEndError:
                self.told = set(before)
        raise DeadEndError

    def slot(self, node: Slot) -> str:
        if node.kind == "~":
            return self.fresh(node.name)
        if node.kind == "=":
            return self.helpers[node.name]
        if node.name in self.told or node.form not in self.facts.get(node.name, {}):
            raise DeadEndError(node.name)
        self.told.add(node.name)
        return f"{OPEN}{node.name}{MIDDLE}{self.facts[node.name][node.form]}{CLOSE}"
