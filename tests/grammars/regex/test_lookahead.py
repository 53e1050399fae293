"""Look-ahead, compared with `re`."""

from __future__ import annotations

import itertools
import re

import pytest

from guided.errors import RegexError
from guided.grammars.regex import compile_regex

TEXTS = ["".join(t) for n in range(6) for t in itertools.product("abé\n", repeat=n)]

PATTERNS = [
    r"^(?!ab)", r"^(?!ab).*$", r"^(?=a)(?!ab)[ab]+$", r"^(?!.*b)^(.*[^é]+.*)$", r"^(?!^ab|b).*",
    r"^((?!ab).)*$", r"^(?:(?!a|bb)[^é])*$", r"a(?=b)", r"a(?!b)", r"((?:[^é]*é)*)(?=a(b|é))",
    r"^(?!(a|b)$)[ab]*$", r"^a(?!b)|^b(?=a)|é$", r"(?=a)(?!aa)", r"^(?=(?!ab)a)", r"^(?!)",
    r"^((?!ab)(?!é)[^b])*$", r"^(?=)a",
    r"^(a(?!b)){2}", r"^(a(?!b)){0,2}$", r"^(?=.{2,3}$)(?!.*é)a", r"(a|b(?!b))$",
    r"(?:a(?=b)|é)(b|é)",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_ecma_look_ahead_means_what_a_search_finds(pattern: str) -> None:
    dfa = compile_regex(pattern, "ecma")
    compiled = re.compile(pattern.replace("$", r"\Z"))
    for text in TEXTS:
        expected = compiled.search(text) is not None
        assert dfa.accepts(text.encode()) == expected, (pattern, text)


@pytest.mark.parametrize("pattern", [*PATTERNS, r"(?!a$)[ab\n]*", r"(?m)(?!ab$).*\n?.*"])
def test_python_look_ahead_means_what_fullmatch_accepts(pattern: str) -> None:
    dfa = compile_regex(pattern, "python")
    compiled = re.compile(pattern)
    for text in TEXTS:
        expected = compiled.fullmatch(text) is not None
        assert dfa.accepts(text.encode()) == expected, (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "column", "message"),
    [
        ("a((?!b)a)*", 2, "look-ahead inside a repetition"),
        ("^((?!ab).)*b", 2, "look-ahead inside a repetition"),
        (r"^(?!a\b)", 1, "word boundary"),
        (r"(?!a)^b", 0, "start"),
        (r"(^a)*(?!b)", 5, "assertion in a repetition"),
    ],
)
def test_look_ahead_that_cannot_be_exact_is_refused(
    pattern: str, column: int, message: str
) -> None:
    with pytest.raises(RegexError, match=message) as caught:
        compile_regex(pattern, "ecma")
    assert caught.value.column == column
