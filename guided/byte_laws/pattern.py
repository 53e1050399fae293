"""Patterns that cut text into pieces, as programs for a machine that reads one character a time.

The syntax is what the splitters of published tokenizers use: sets, categories, groups, choices,
repetitions, and looking one character ahead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, NoReturn

from guided.errors import VocabularyError

_COUNT = re.compile(r"\{(\d+)(,?)(\d*)\}")
_CATEGORY = re.compile(r"[pP]\{\^?[A-Za-z_ =-]+\}")
#: Escapes that Oniguruma and `regex` read differently, in terms that both share.
_SETS = {
    "s": r"\p{White_Space}",
    "S": r"\P{White_Space}",
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
    "w": r"[\p{L}\p{M}\p{Nd}\p{Pc}]",
    "W": r"[^\p{L}\p{M}\p{Nd}\p{Pc}]",
}
_MOST_COPIES = 1000


class Instruction(NamedTuple):
    """One step: read a character of a set, go on at several places (best first), look, or end.

    Attributes:
        set: number of the set that is read or looked for; -1: none.
        targets: where it goes on.
        wanted: for "look": whether the next character has to be in the set, or must not be.
    """

    kind: Literal["read", "fork", "look", "match"]
    targets: tuple[int, ...] = ()
    set: int = -1
    wanted: bool = True


@dataclass(slots=True)
class Alphabet:
    """The character sets of some patterns, each by an expression of the `regex` package."""

    sets: list[str] = field(default_factory=list)

    def number(self, expression: str) -> int:
        """The number of a set."""
        if expression not in self.sets:
            self.sets.append(expression)
        return self.sets.index(expression)


class Node(NamedTuple):
    """A parsed part of a pattern."""

    kind: Literal["set", "sequence", "choice", "repeat", "look"]
    parts: tuple[Node, ...] = ()
    set: int = -1
    least: int = 0
    most: int | None = None
    is_lazy: bool = False
    wanted: bool = True
    is_atomic: bool = False


class Parser:
    """Reads one pattern. Raises VocabularyError for what it does not know, by name."""

    def __init__(self, pattern: str, alphabet: Alphabet) -> None:
        self.pattern, self.alphabet = pattern, alphabet
        self.at = 0
        self.ignores_case = False

    def parse(self) -> Node:
        """The whole pattern."""
        node = self._choice()
        if self.at < len(self.pattern):
            self._refuse("an unmatched )")
        return node

    def _refuse(self, what: str) -> NoReturn:
        shown = self.pattern[max(0, self.at - 20) : self.at + 20]
        raise VocabularyError(
            f"the tokenizer splits text by a pattern with {what} (at {self.at}, near {shown!r}), "
            "which byte laws do not support"
        )

    def _peek(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def _skip(self, text: str) -> bool:
        found = self._peek(text)
        if found:
            self.at += len(text)
        return found

    def _choice(self) -> Node:
        parts = [self._sequence()]
        while self._skip("|"):
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Node("choice", tuple(parts))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self.at < len(self.pattern) and not self._peek("|") and not self._peek(")"):
            parts.append(self._quantified(self._item()))
        return parts[0] if len(parts) == 1 else Node("sequence", tuple(parts))

    def _item(self) -> Node:
        if self._peek("("):
            return self._group()
        if self._peek("["):
            return self._set(self._bracket())
        char = self.pattern[self.at]
        if char in "^$*+?{":
            self._refuse(f"{char!r} here")
        self.at += 1
        if char == ".":
            return self._set(r"[^\n]")
        return self._set(self._escape() if char == "\\" else re.escape(char))

    def _set(self, expression: str) -> Node:
        if self.ignores_case:
            expression = f"(?i:{expression})"
        return Node("set", set=self.alphabet.number(expression))

    def _escape(self) -> str:
        """The set that an escape stands for; the backslash has been read."""
        if found := _CATEGORY.match(self.pattern, self.at):
            self.at = found.end()
            return "\\" + found[0]
        if self.at == len(self.pattern):
            self._refuse("a backslash at its end")
        char = self.pattern[self.at]
        if char.isalnum() and char not in "sSdDwWnrtfv":
            self._refuse(f"\\{char}")
        self.at += 1
        return _SETS.get(char, "\\" + char)

    def _bracket(self) -> str:
        """A bracketed set, with its escapes rewritten."""
        begin, depth, out = self.at, 0, ""
        while self.at < len(self.pattern):
            char = self.pattern[self.at]
            self.at += 1
            if char == "\\":
                out += self._escape()
                continue
            out += char
            depth += (char == "[") - (char == "]")
            if depth == 0:
                return out if "&&" not in out else self._refuse("&& in a set")
        self.at = begin
        return self._refuse("an unmatched [")

    def _group(self) -> Node:
        outer = self.ignores_case
        if self._skip("(?!") or self._skip("(?="):
            return self._look(self.pattern[self.at - 1] == "=")
        if self._skip("(?i:"):
            self.ignores_case = True
        elif not self._skip("(?:"):
            if self._peek("(?"):
                self._refuse(f"the group {self.pattern[self.at : self.at + 4]!r}")
            self.at += 1
        node = self._choice()
        if not self._skip(")"):
            self._refuse("an unmatched (")
        self.ignores_case = outer
        return node

    def _look(self, wanted: bool) -> Node:
        inner = self._choice()
        if not self._skip(")"):
            self._refuse("an unmatched (")
        if inner.kind != "set":
            self._refuse("a look-ahead of more than one character")
        return Node("look", set=inner.set, wanted=wanted)

    def _quantified(self, node: Node) -> Node:
        least, most = 0, None
        if self._skip("*"):
            pass
        elif self._skip("+"):
            least = 1
        elif self._skip("?"):
            most = 1
        elif found := _COUNT.match(self.pattern, self.at):
            self.at = found.end()
            least = int(found[1])
            most = least if not found[2] else int(found[3]) if found[3] else None
        else:
            return node
        if max(least, most or 0) > _MOST_COPIES:
            self._refuse(f"more than {_MOST_COPIES} repetitions")
        is_lazy, is_atomic = self._skip("?"), self._skip("+")
        if is_atomic and node.kind != "set":
            self._refuse("a possessive quantifier after a group")
        return Node("repeat", (node,), least=least, most=most, is_lazy=is_lazy, is_atomic=is_atomic)


class Program(NamedTuple):
    """Instructions; the first one that runs is `start`.

    Attributes:
        atomic: (set of a possessive repetition, where it goes on): to be checked by who knows the
            sets, since running it as a greedy one must be the same.
    """

    code: tuple[Instruction, ...]
    start: int
    atomic: tuple[tuple[int, int], ...]


def compiled(pattern: str, alphabet: Alphabet) -> Program:
    """The program of a pattern.

    Raises:
        VocabularyError: unsupported syntax.
    """
    builder = _Builder()
    end = builder.add(Instruction("match"))
    start = builder.build(Parser(pattern, alphabet).parse(), end)
    return Program(tuple(builder.code), start, tuple(builder.atomic))


class _Builder:
    """Writes instructions from the end of a pattern to its beginning."""

    def __init__(self) -> None:
        self.code: list[Instruction] = []
        self.atomic: list[tuple[int, int]] = []

    def add(self, instruction: Instruction) -> int:
        self.code.append(instruction)
        return len(self.code) - 1

    def build(self, node: Node, after: int) -> int:
        """Where a node begins that goes on at `after`."""
        if node.kind == "set":
            return self.add(Instruction("read", (after,), node.set))
        if node.kind == "look":
            return self.add(Instruction("look", (after,), node.set, node.wanted))
        if node.kind == "sequence":
            for part in reversed(node.parts):
                after = self.build(part, after)
            return after
        if node.kind == "choice":
            return self.add(Instruction("fork", tuple(self.build(p, after) for p in node.parts)))
        return self._repeat(node, after)

    def _repeat(self, node: Node, after: int) -> int:
        (part,) = node.parts
        if node.is_atomic:
            self.atomic.append((part.set, after))

        def fork(more: int) -> Instruction:
            return Instruction("fork", (after, more) if node.is_lazy else (more, after))

        if node.most is None:
            at = loop = self.add(Instruction("fork"))
            self.code[loop] = fork(self.build(part, loop))
        else:
            at = after
            for _ in range(node.most - node.least):
                at = self.add(fork(self.build(part, at)))
        for _ in range(node.least):
            at = self.build(part, at)
        return at
