"""Look-ahead as intersection and difference with what follows.

A regular expression is translated from its end: the language of a node is computed together with
everything that follows it, so that a look-ahead is the intersection of what follows with what it
demands. This is exact wherever the look-ahead stands outside of repetitions; inside, it is refused,
but for the idiom ``((?!x).)*`` up to the end of the text.
"""

from __future__ import annotations

from guided.errors import RegexError
from guided.grammars.automata import Dfa, code_points, concatenation, epsilon, literal, union, utf8
from guided.grammars.automata.dfa import from_program
from guided.grammars.automata.program import Program
from guided.grammars.regex.emit import emit, has_marks
from guided.grammars.regex.nodes import (
    Assertion,
    Chars,
    Choice,
    Look,
    Mark,
    Node,
    Repeat,
    Sequence,
    choice,
    looks,
)

_UNROLLED = 3
"""Repetitions of a look-ahead up to this count are written out."""
_NAME = "regular expression"


def language(node: Node, rest: Dfa, pattern: str, *, at_start: bool) -> Dfa:
    """The words of `node`, each followed by a word of `rest`.

    `at_start` tells that the node stands at the start of the text. What stands in `rest` is all
    that follows up to the end of the text.

    Raises:
        RegexError: an assertion that cannot be combined with look-ahead, with the column of the
            look-ahead in `pattern`.
    """
    return _Suffixes(pattern, node).before(node, rest, at_start)


class _Suffixes:
    """The translation of one pattern."""

    def __init__(self, pattern: str, node: Node) -> None:
        self.pattern = pattern
        self.column = next(looks(node)).column

    def refuse(self, reason: str, column: int | None = None) -> RegexError:
        message = f"{reason} is not supported"
        return RegexError(message, self.pattern, self.column if column is None else column)

    def before(self, node: Node, rest: Dfa, at_start: bool) -> Dfa:
        """The words of `node` followed by those of `rest`."""
        if not has_marks(node) and next(looks(node), None) is None:
            program = Program()
            emit(node, program)
            program.atom(rest)
            program.concat(2)
            return from_program(program, _NAME)
        match node:
            case Sequence(parts):
                return self._sequence(parts, rest, at_start)
            case Choice(parts):
                return union([self.before(part, rest, at_start) for part in parts])
            case Look(part, negative):
                demanded = self.before(part, utf8(), at_start)
                return rest - demanded if negative else rest & demanded
            case Mark(assertion):
                return self._mark(assertion, rest, at_start)
            case Repeat():
                return self._repeat(node, rest, at_start)
        raise TypeError(f"unknown node {node!r}")

    def _sequence(self, parts: list[Node], rest: Dfa, at_start: bool) -> Dfa:
        leading = 0
        while leading < len(parts) and isinstance(parts[leading], Mark | Look):
            leading += 1
        for place in range(len(parts) - 1, -1, -1):
            rest = self.before(parts[place], rest, at_start and place <= leading)
        return rest

    def _mark(self, assertion: Assertion, rest: Dfa, at_start: bool) -> Dfa:
        if assertion in (Assertion.START, Assertion.LINE_START) and at_start:
            return rest
        newline = literal(b"\n")
        if assertion == Assertion.END:
            return rest & epsilon()
        if assertion == Assertion.END_OR_LAST_NEWLINE:
            return rest & (epsilon() | newline)
        if assertion == Assertion.LINE_END:
            return rest & (epsilon() | newline + utf8())
        name = assertion.name.lower().replace("_", " ")
        raise self.refuse(f"look-ahead in one pattern with an inner assertion ({name})")

    def _repeat(self, node: Repeat, rest: Dfa, at_start: bool) -> Dfa:
        part, least, most = node.part, node.least, node.most
        look = next(looks(part), None)
        if look is None:
            raise self.refuse("look-ahead in one pattern with an assertion in a repetition")
        tempered = _tempered(part)
        if tempered and (least, most) == (0, None) and rest == epsilon():
            chars, forbidden = tempered
            some = code_points(chars.ranges)
            bad = some.repeat(1) & self.before(forbidden, utf8(), False)
            return some.repeat() - concatenation([some.repeat(), bad])
        if most is None or most > _UNROLLED:
            raise self.refuse("look-ahead inside a repetition", look.column)
        found = rest
        for copy in range(most, 0, -1):
            followed = self.before(part, found, at_start and copy == 1)
            found = followed if copy <= least else rest | followed
        return found


def _tempered(part: Node) -> tuple[Chars, Node] | None:
    """The characters and what they must not begin, for ``(?!x).``."""
    while isinstance(part, Sequence) and len(part.parts) == 1:
        part = part.parts[0]
    match part:
        case Sequence([*before, Chars() as chars]) if before:
            forbidden = [look.part for look in before if isinstance(look, Look) and look.negative]
            if len(forbidden) == len(before) and not has_marks(part):
                return chars, choice(forbidden)
    return None
