"""Compiled grammars obey the laws; broken ones are caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from guided.grammars.choices import choices
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.lark import lark
from guided.grammars.regex import regex
from guided.grammars.vocabulary import Vocabulary
from guided.testing import WordGrammar, check_grammar_laws
from guided.testing.words import WordState

BYTES = [bytes([b]) for b in range(128)]
VOCABULARY = Vocabulary.from_tokens(
    [None, *BYTES, b"ab", b'{"', b'":', b'": ', b"true", b'"}', b"12", b"[[", None], [0, 136]
)

CASES: list[tuple[Callable[[], Grammar], list[str], list[str]]] = [
    (lambda: choices(["ab", "abc", "b"]), ["ab", "abc", "b"], ["", "a", "abcc"]),
    (lambda: regex("(ab|c)*d?"), ["", "ababd", "cc"], ["a", "dd"]),
    (lambda: lark('start: "(" start* ")"'), ["()", "(()())"], ["", "(", "())"]),
    (
        lambda: json_schema({"type": "object", "properties": {"a": {"type": "boolean"}},
                             "additionalProperties": False}),
        ['{"a": true}', "{}"],
        ['{"b": true}', '{"a": 1}', '{"a": true'],
    ),
    (
        lambda: json_schema({"type": "array", "items": {"type": "integer", "maximum": 12}}),
        ["[12, 3]", "[]", "[-1]"],
        ["[13]", "[1,", "[[1]]"],
    ),
    (lambda: choices(["ab", "b"]).with_prefix(b"a"), ["aab", "ab"], ["b", "aa"]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "accepted", "rejected"), CASES)
def test_compiled_grammars_obey_the_laws(
    make: Callable[[], Grammar], accepted: list[str], rejected: list[str]
) -> None:
    check_grammar_laws(make(), VOCABULARY, accepted, rejected)


class Broken(WordGrammar):
    """A reference grammar with one fault in its states."""

    fault: type[WordState]

    def start(self, vocabulary: Vocabulary) -> WordState:
        return self.fault(self, vocabulary, b"")


def broken(fault: type[WordState], words: list[bytes]) -> WordGrammar:
    grammar = Broken(words)
    object.__setattr__(grammar, "fault", fault)
    return grammar


class WideMask(WordState):
    def mask(self):  # type: ignore[no-untyped-def]
        return ~super().mask() | super().mask()


class LongBound(WordState):
    @property
    def bound(self) -> int:
        return super().bound + 1


class EarlyStop(WordState):
    def advance(self, token: int) -> WordState | None:
        if token in self.vocabulary.stop_ids:
            return replace(self, is_finished=True)
        return super().advance(token)


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        (WideMask, "the mask is what advance allows"),
        (LongBound, "bound counts"),
        (EarlyStop, "stop ids are allowed exactly where accepting"),
    ],
)
def test_faults_are_caught_by_name(fault: type[WordState], law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_grammar_laws(broken(fault, [b"ab"]), VOCABULARY, [b"ab"])
