"""Assertions as an automaton: what a place in the text is preceded by and must be followed by.

The automaton reads bytes and assertions. Its contexts know what kind of character came before and
what earlier assertions demand of what comes next. Between the bytes of one character it keeps the
context and the place in an automaton that classifies characters.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from guided.grammars.automata import Dfa, code_points, literal, union
from guided.grammars.automata.program import Constraint
from guided.grammars.regex import charsets
from guided.grammars.regex.nodes import Assertion, Ranges

# What came before, and the kind of a character.
_BEGIN, _NEWLINE, _WORD, _OTHER = range(4)
# What must follow: nothing in particular, a newline or the end, at most a newline, the end.
_FREE, _LINE_ENDS, _LAST_NEWLINE, _ENDS = range(4)
# What the next character must be; the end counts as no word character, but not as a character.
_ANY, _NEXT_WORD, _NEXT_NO_WORD, _NEXT_OTHER_CHARACTER = range(4)

_EMPTY_HAS_NO_BOUNDARY = sys.version_info < (3, 14)
"""Before Python 3.14, ``\\B`` does not match in an empty text."""


class Context(NamedTuple):
    """What is known between two characters."""

    before: int = _BEGIN
    ends: int = _FREE
    following: int = _ANY

    def read(self, kind: int) -> Context | None:
        """The context after a character of `kind`; None where it is forbidden here."""
        if self.ends == _ENDS or (self.ends and kind != _NEWLINE):
            return None
        if self.following and (self.following == _NEXT_WORD) != (kind == _WORD):
            return None
        return Context(kind, _ENDS if self.ends == _LAST_NEWLINE else _FREE)

    def may_end(self) -> bool:
        return self.following in (_ANY, _NEXT_NO_WORD)

    def demand_end(self, ends: int) -> Context:
        return self._replace(ends=max(self.ends, ends))

    def demand_next(self, following: int) -> Context | None:
        if self.following in (_ANY, following):
            return self._replace(following=following)
        if _NEXT_WORD in (self.following, following):
            return None
        return self._replace(following=_NEXT_OTHER_CHARACTER)

    def assume(self, assertion: Assertion, *, python: bool) -> Context | None:
        """The context with what `assertion` demands; None where it does not hold."""
        match assertion:
            case Assertion.START:
                return self if self.before == _BEGIN else None
            case Assertion.LINE_START:
                return self if self.before in (_BEGIN, _NEWLINE) else None
            case Assertion.END:
                return self.demand_end(_ENDS)
            case Assertion.END_OR_LAST_NEWLINE:
                return self.demand_end(_LAST_NEWLINE)
            case Assertion.LINE_END:
                return self.demand_end(_LINE_ENDS)
            case Assertion.WORD_BOUNDARY:
                return self.demand_next(_NEXT_NO_WORD if self.before == _WORD else _NEXT_WORD)
        if self.before == _BEGIN and python and _EMPTY_HAS_NO_BOUNDARY:
            return self.demand_next(_NEXT_OTHER_CHARACTER)
        return self.demand_next(_NEXT_WORD if self.before == _WORD else _NEXT_NO_WORD)


@lru_cache(16)
def constraint(words: Ranges, *, python: bool) -> Constraint:
    """The automaton of all assertions; mark number a stands for Assertion(a)."""
    contexts = _reachable_contexts(python)
    number = {context: i for i, context in enumerate(contexts)}
    classifier, kinds = _classifier(words)
    n_places, n_classes = classifier.transitions.shape
    # State (context, place) is n_places * context + place; place 0 is between characters.
    table = np.full((len(contexts), n_places, n_classes), -1, np.int32)
    for i, context in enumerate(contexts):
        targets = np.append(np.arange(n_places, dtype=np.int32) + i * n_places, -1)
        for place, kind in kinds.items():
            after = context.read(kind)
            targets[place] = -1 if after is None else number[after] * n_places
        table[i] = targets[classifier.transitions]
    marks = np.full((len(contexts), n_places, 1 + len(Assertion)), -1, np.int32)
    marks[:, :, 0] = 0
    for i, context in enumerate(contexts):
        if context.may_end():
            marks[i, 0, 0] = 2 if context == Context(context.before) else 1
        for assertion in Assertion:
            after = context.assume(assertion, python=python)
            marks[i, 0, assertion] = -1 if after is None else number[after] * n_places
    return Constraint(
        table.reshape(-1, n_classes), classifier.classes, marks.reshape(-1, 1 + len(Assertion))
    )


def _reachable_contexts(python: bool) -> list[Context]:
    contexts = [Context()]
    for context in contexts:
        after = [context.read(kind) for kind in (_NEWLINE, _WORD, _OTHER)]
        after += [context.assume(assertion, python=python) for assertion in Assertion]
        for found in after:
            if found is not None and found not in contexts:
                contexts.append(found)
    return contexts


def _classifier(words: Ranges) -> tuple[Dfa, dict[int, int]]:
    """An automaton of one character, and the kind that each of its last states stands for.

    A byte that is never UTF-8 is put behind each character, so that characters of different kinds
    end in different states.
    """
    newline: Ranges = ((10, 10),)
    sets = {
        _NEWLINE: newline,
        _WORD: words,
        _OTHER: charsets.negate(charsets.union([words, newline])),
    }
    tagged = [code_points(ranges) + literal(bytes([0xF8 + kind])) for kind, ranges in sets.items()]
    dfa = union(tagged)
    kinds = {}
    for kind in sets:
        column = dfa.classes[0xF8 + kind]
        for place in np.flatnonzero(dfa.transitions[:, column] >= 0):
            kinds[int(place)] = kind
    return dfa, kinds
