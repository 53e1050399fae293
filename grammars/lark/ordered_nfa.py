"""A regular expression as an automaton that remembers the order in which `re` tries its choices.

Lark asks `re.match` where a terminal ends, so which words a terminal has depends on that order: the
terminal /a|ab/ never matches "ab", and /".*?"/ ends at the first closing quote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from re import _constants as sre
from re import _parser as sre_parser
from typing import Any

from guided.errors import GrammarTooLargeError, RegexError
from guided.grammars.lark.charsets import CharSet, char_set

MOST_NODES = 20_000

_UNSUPPORTED = {
    sre.AT: "an anchor or word boundary",
    sre.GROUPREF: "a back-reference",
    sre.GROUPREF_EXISTS: "a conditional group",
    sre.ATOMIC_GROUP: "an atomic group",
    sre.POSSESSIVE_REPEAT: "a possessive quantifier",
}


@dataclass(frozen=True, slots=True)
class Char:
    """Consumes one character of the set number `charset`."""

    charset: int
    following: int


@dataclass(slots=True)
class Choice:
    """Tries `choices` in turn."""

    choices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Again:
    """The end of a loop's body: starts over, unless nothing was consumed; then leaves."""

    loop: int
    following: int


@dataclass(frozen=True, slots=True)
class Behind:
    """Goes on if the character before is in the set number `charset` (not in it: `negated`)."""

    charset: int
    negated: bool
    following: int


@dataclass(frozen=True, slots=True)
class Match:
    """The whole expression has matched."""


Node = Char | Choice | Again | Behind | Match


@dataclass(slots=True)
class OrderedNfa:
    """Nodes by number, `start`, and the character sets that they name."""

    nodes: list[Node] = field(default_factory=list)
    charsets: list[CharSet] = field(default_factory=list)
    start: int = 0


def ordered_nfa(pattern: str) -> OrderedNfa:
    """The automaton of `pattern` (Python `re` syntax).

    Raises RegexError for an invalid or unsupported pattern, GrammarTooLargeError when counts unroll
    to more than `MOST_NODES` nodes.
    """
    try:
        parsed = sre_parser.parse(pattern)
    except re.error as error:
        raise RegexError(error.msg, pattern, error.pos or 0) from None
    except OverflowError as error:
        raise RegexError(str(error), pattern, 0) from None
    builder = _Builder(pattern)
    builder.nfa.start = builder.sequence(parsed, parsed.state.flags, builder.add(Match()))
    return builder.nfa


class _Builder:
    """Builds from the end: every method takes the node that follows and returns the entry."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.nfa = OrderedNfa()
        self._charset_numbers: dict[CharSet, int] = {}

    def add(self, node: Node) -> int:
        if len(self.nfa.nodes) >= MOST_NODES:
            raise GrammarTooLargeError(
                f"the regular expression {self.pattern[:60]!r} needs more than {MOST_NODES} nodes"
            )
        self.nfa.nodes.append(node)
        return len(self.nfa.nodes) - 1

    def sequence(self, items: Sequence[Any], flags: int, following: int) -> int:
        for operator, argument in reversed(list(items)):
            following = self._item(operator, argument, flags, following)
        return following

    def _item(self, operator: Any, argument: Any, flags: int, following: int) -> int:
        if handler := _HANDLERS.get(operator):
            return handler(self, argument, flags, following)
        if operator in _UNSUPPORTED:
            raise self._unsupported(_UNSUPPORTED[operator])
        if operator is sre.FAILURE:
            return self.add(Choice(()))
        return self.add(Char(self._charset(operator, argument, flags), following))

    def _unsupported(self, what: str) -> RegexError:
        return RegexError(f"{what} is not supported", self.pattern, 0)

    def _charset(self, operator: Any, argument: Any, flags: int) -> int:
        charset = char_set(operator, argument, flags)
        number = self._charset_numbers.setdefault(charset, len(self.nfa.charsets))
        if number == len(self.nfa.charsets):
            self.nfa.charsets.append(charset)
        return number

    def _branch(self, argument: Any, flags: int, following: int) -> int:
        _, branches = argument
        return self.add(Choice(tuple(self.sequence(b, flags, following) for b in branches)))

    def _group(self, argument: Any, flags: int, following: int) -> int:
        _, added, removed, items = argument
        return self.sequence(items, (flags | added) & ~removed, following)

    def _greedy(self, argument: Any, flags: int, following: int) -> int:
        return self._repeat(argument, flags, following, lambda body, leave: (body, leave))

    def _lazy(self, argument: Any, flags: int, following: int) -> int:
        return self._repeat(argument, flags, following, lambda body, leave: (leave, body))

    def _repeat(
        self,
        argument: Any,
        flags: int,
        following: int,
        order: Callable[[int, int], tuple[int, ...]],
    ) -> int:
        least, most, items = argument
        entry = following
        if most is sre.MAXREPEAT:
            loop = Choice(())
            entry = self.add(loop)
            body = self.sequence(items, flags, self.add(Again(entry, following)))
            loop.choices = order(body, following)
        else:
            for _ in range(most - least):
                entry = self.add(Choice(order(self.sequence(items, flags, entry), following)))
        for _ in range(least):
            entry = self.sequence(items, flags, entry)
        return entry

    def _assertion(self, argument: Any, flags: int, following: int, *, negated: bool) -> int:
        direction, items = argument
        if direction > 0:
            raise self._unsupported("look-ahead")
        if len(items) != 1 or items.getwidth() != (1, 1) or items[0][0] in _HANDLERS:
            raise self._unsupported("look-behind at more than one character")
        operator, single = items[0]
        charset = self._charset(operator, single, flags)
        return self.add(Behind(charset, negated, following))

    def _asserted(self, argument: Any, flags: int, following: int) -> int:
        return self._assertion(argument, flags, following, negated=False)

    def _refuted(self, argument: Any, flags: int, following: int) -> int:
        return self._assertion(argument, flags, following, negated=True)


_HANDLERS: dict[Any, Callable[[_Builder, Any, int, int], int]] = {
    sre.BRANCH: _Builder._branch,
    sre.SUBPATTERN: _Builder._group,
    sre.MAX_REPEAT: _Builder._greedy,
    sre.MIN_REPEAT: _Builder._lazy,
    sre.ASSERT: _Builder._asserted,
    sre.ASSERT_NOT: _Builder._refuted,
}
