"""Regular expressions as grammars."""

from __future__ import annotations

import re

import pytest

from guided.errors import EmptyGrammarError, RegexError
from guided.grammars.regex import regex


def test_a_regex_grammar_accepts_whole_matches_only() -> None:
    grammar = regex(r"\d{4}-(0[1-9]|1[0-2])")
    assert grammar.accepts(b"2026-11")
    assert not grammar.accepts(b"2026-13")
    assert not grammar.accepts(b"x2026-11")


def test_flags_are_those_of_re() -> None:
    assert regex("é+", re.IGNORECASE).accepts("Éé".encode())
    assert not regex(r"\d", re.ASCII).accepts("٣".encode())


def test_a_pattern_that_nothing_matches_is_an_error() -> None:
    with pytest.raises(EmptyGrammarError):
        regex("a(?=b)")


def test_errors_of_the_pattern_are_passed_on() -> None:
    with pytest.raises(RegexError, match="not closed"):
        regex("(a")
