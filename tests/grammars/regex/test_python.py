"""The dialect of Python's `re`, compared with `re.fullmatch`."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guided.errors import RegexError
from guided.grammars.regex import compile_regex

TEXTS = ["".join(t) for n in range(5) for t in itertools.product("abé\n_", repeat=n)]
SINGLES = [chr(point) for point in (*range(0x300), 0x345, 0x660, 0x2028, 0x212A, 0x1E9E, 0x1F600)]

PATTERN_LINES = r"""
a|abc|abd a*b+b? (ab)* [a-b]+ [^a] . .* (?:) () a||b a??b*? a+?b (a|)b*
^a$ ^a|b$ (^|b)a(b|$) ^(a|b)$ (^a)+b a$b a^b \Aa\Z a\Zb (a|^)b (?:^)*a (?:a+)+ ((a))
\ba\b \Ba a\B \B \b \ba (a\b|b)* (\ba|b\B|\n)* a\b\n (?a:\ba\b). \b.\b.\B.* _\b (?a:.\b).*
a{2,3} a{,2} a{2,} (a|b){0} a{,}b a{1 a{, a{x} a{} (a{2}){2} (a?){3} (a*)* (a|b*)* (a{0}b)*
(?s). (?s:.)a (?m:^a$) (?i)aé (?i)[a-b] (?i:a)b (?i)(?-i:a)b (?ia:é) (?s)(?i)É.
[]a] [^]a] [\w-] [a\-b] [\d\n] [^\W_] [\s\S] [_-é] \w+ \W \s \S+ \d \D
\x61\u0062\141 \U00000061 \n \t \. \\ \é \_ [\b] \0 [\141]
(?P<name>a)b (?:a|(?:b))(?#note)b ((a)(b))* (?x)a(?#x)+ (?x:[_#])b a|b|\n|_|é|aa|bb|ab|ba|abb
"""
SPACED = ["(?x) a b # c", "(?x)\n a + \n|\n[ ]b\\ ", r"\N{LATIN SMALL LETTER A}"]
PATTERNS = [pattern for line in PATTERN_LINES.splitlines() for pattern in line.split()] + SPACED

FINAL_NEWLINE = [r"a$\n", r"$\n", r"\n$", r"a$\n?", r"($\n)?", r"[é\n]*$.?", r"(?:$\n?)*a*", r"a$$"]
MULTILINE = [r"^a$\n^b$", r"(a|^|$|\n)*", r"$\n?^", r"a$|^b", r"(^a$\n?)*", r"\A\n^a"]


def assert_same_as_re(pattern: str, flags: int = 0) -> None:
    dfa = compile_regex(pattern, "python", flags)
    compiled = re.compile(pattern, flags)
    for text in TEXTS:
        expected = compiled.fullmatch(text) is not None
        assert dfa.accepts(text.encode()) == expected, (pattern, text, expected)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_mean_what_re_fullmatch_accepts(pattern: str) -> None:
    assert_same_as_re(pattern)


@pytest.mark.parametrize("pattern", FINAL_NEWLINE)
def test_the_dollar_also_stands_before_a_final_newline(pattern: str) -> None:
    assert_same_as_re(pattern)


@pytest.mark.parametrize("pattern", MULTILINE)
def test_multiline_anchors_stand_at_every_line(pattern: str) -> None:
    assert_same_as_re(pattern, re.MULTILINE)


@pytest.mark.parametrize("flags", [0, re.ASCII, re.IGNORECASE, re.IGNORECASE | re.ASCII, re.DOTALL])
@pytest.mark.parametrize(
    "pattern",
    [r"\w", r"\d", r"\s", r"\W", r"[\w.]", r"[^\d\s]", r"k", r"ſ", r"[a-z]", r"[^a-zß]", "ß", ".",
     "[µ-ÿ]", r"[\Wa]", r"[^\wé]", "İ", "ǅ", "ι", r"\u0345"],
)  # fmt: skip
def test_single_characters_match_as_in_re(pattern: str, flags: int) -> None:
    dfa = compile_regex(pattern, "python", flags)
    compiled = re.compile(pattern, flags)
    for character in SINGLES:
        expected = compiled.fullmatch(character) is not None
        assert dfa.accepts(character.encode()) == expected, (pattern, character)


atoms = st.sampled_from(
    [
        "a",
        "b",
        "é",
        r"\n",
        ".",
        "[ab]",
        "[^a]",
        r"\w",
        r"\W",
        "_",
        "^",
        "$",
        r"\b",
        r"\B",
        r"\Z",
        "(?s:.)",
    ]
)


def compose(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = children.map(lambda inner: f"(?:{inner})")
    quantifiers = st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "*?", "{0}"])
    return st.one_of(
        st.tuples(children, children).map("".join),
        st.tuples(children, children).map("|".join).map(lambda inner: f"({inner})"),
        st.tuples(group, quantifiers).map("".join),
    )


@given(st.recursive(atoms, compose, max_leaves=7))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_generated_patterns_mean_what_re_fullmatch_accepts(pattern: str) -> None:
    assert_same_as_re(pattern)


@pytest.mark.parametrize(
    ("pattern", "column", "message"),
    [
        ("a(b(?!b))*", 3, "look-ahead inside a repetition"),
        ("(?<=a)b", 0, "look-behind"),
        ("(?<!a)b", 0, "negative look-behind"),
        (r"(a)\1", 3, "back-reference"),
        ("(?P<x>a)(?P=x)", 8, "back-reference"),
        ("(a)?(?(1)b|c)", 4, "conditional"),
        ("a(?>b)", 1, "atomic"),
        ("ab*+c", 2, "possessive"),
        ("a{2}+", 1, "possessive"),
        ("a**", 2, "multiple repeat"),
        ("*a", 0, "nothing to repeat"),
        ("^*", 1, "nothing to repeat"),
        ("a(b", 1, "not closed"),
        ("ab)", 2, "without"),
        ("a[bc", 1, "not closed"),
        ("[b-a]", 1, "no range"),
        (r"[a-\d]", 1, "no range"),
        (r"\q", 0, "unknown"),
        ("a\\", 1, "backslash"),
        ("a{3,2}", 1, "reverse"),
        (r"\xg0", 0, "hexadecimal"),
        (r"\N{NO SUCH NAME}", 0, "no character named"),
        ("a(?i)b", 1, "at its start"),
        ("(?P<1>a)", 4, "no name"),
        ("(?P<a>a)(?P<a>b)", 12, "redefinition"),
        ("(?y)", 0, "unknown"),
        ("(?L:a)", 2, "locale"),
        ("\ud800", 0, "surrogate"),
        ("[\ud800-\udfff]", 0, "surrogates"),
        (r"\ba(?a:\b)", 7, "two kinds of words"),
        ("a{100000000000000000000}", 0, "repetition number is too large"),
    ],
)
def test_errors_name_the_cause_and_the_column(pattern: str, column: int, message: str) -> None:
    with pytest.raises(RegexError, match=message) as caught:
        compile_regex(pattern)
    assert caught.value.column == column
    assert str(caught.value).splitlines()[-1] == " " * (column + 2) + "^"


def test_flags_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(RegexError, match="LOCALE"):
        compile_regex("a", "python", int(re.LOCALE))
    with pytest.raises(ValueError, match="dialect"):
        compile_regex("a", "ecma", int(re.IGNORECASE))


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    with pytest.raises(RegexError, match="nest deeper"):
        compile_regex("(" * 10_000 + "a" + ")" * 10_000)
    assert compile_regex("(" * 90 + "a" + ")" * 90).accepts(b"a")
