"""The words of a terminal are those of which `re.match` consumes all."""

from __future__ import annotations

import itertools
import random
import re
import warnings

import pytest

from guided.errors import GrammarTooLargeError, RegexError
from guided.grammars.lark.terminals import terminal_dfa

TEXTS = [
    *("".join(w) for n in range(4) for w in itertools.product("abcé\n", repeat=n)),
    *("".join(w) for w in itertools.product("ab", repeat=5)),
]
ATOMS = ("a", "b", "[ab]", ".", "[^a]", "(?<!a)", "(?<=[ab])", "é", r"\w", r"\s", "(?i:B)")
QUANTIFIERS = ("*", "+", "?", "*?", "+?", "??", "{1,2}", "{2}", "{0,2}?", "{1,}")


def random_pattern(rng: random.Random, depth: int = 3) -> str:
    shape = rng.random()
    if depth == 0 or shape < 0.3:
        return rng.choice(ATOMS)
    if shape < 0.55:
        return random_pattern(rng, depth - 1) + random_pattern(rng, depth - 1)
    if shape < 0.75:
        ways = [random_pattern(rng, depth - 1) for _ in range(rng.randint(2, 3))]
        return f"(?:{'|'.join(ways)}{rng.choice(('', '', '|'))})"
    return f"(?:{random_pattern(rng, depth - 1)}){rng.choice(QUANTIFIERS)}"


def assert_words_of(pattern: str) -> None:
    dfa, match = terminal_dfa(pattern), re.compile(pattern).match
    for text in TEXTS:
        found = match(text)
        expected = found is not None and found.end() == len(text)
        assert dfa.accepts(text.encode()) == expected, (pattern, text)


def test_random_patterns_have_the_words_that_re_matches() -> None:
    rng = random.Random(11)
    tested = 0
    refusals = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        while tested < 200:
            pattern = random_pattern(rng)
            try:
                terminal_dfa(pattern)
            except RegexError as error:
                refusals.add(error.message)
                continue
            assert_words_of(pattern)
            tested += 1
    assert refusals <= {"look-behind at the start is not supported"}


@pytest.mark.parametrize(
    ("pattern", "words", "others"),
    [
        ("a|ab", ["a"], ["ab"]),
        ("ab|a", ["a", "ab"], ["b"]),
        ('".*?"', ['""', '"a b"'], ['"a"b"', '"']),
        ("a?(ab)?", ["", "a", "aab"], ["ab"]),
        ("(a|b)*?c", ["c", "abc"], ["cc", "abcc"]),
        (r'"(?:.*?)(?:(?<!\\)(\\\\)*?)"', ['""', r'"\""', r'"\\"', r'"a\nb"'], [r'"\"', '"a"b"']),
        (r"/\*(.|\n)*?\*/", ["/**/", "/* a\n* */"], ["/*/", "/**/ */"]),
    ],
)
def test_the_order_of_choices_decides(pattern: str, words: list[str], others: list[str]) -> None:
    dfa = terminal_dfa(pattern)
    assert all(dfa.accepts(word.encode()) for word in words)
    assert not any(dfa.accepts(other.encode()) for other in others)


def test_case_is_folded_as_re_does_it() -> None:
    for pattern in ("s", "k", "ß", "[a-z]", "[^s]", "ΐ"):
        dfa, match = terminal_dfa(f"(?i:{pattern})"), re.compile(f"(?i:{pattern})").fullmatch
        for point in range(0x2200):
            found = match(chr(point)) is not None
            assert dfa.accepts(chr(point).encode()) == found, (pattern, chr(point))


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("a(?=b)", "look-ahead"),
        ("(?!ab)a", "look-ahead"),
        ("(?<=ab)c", "look-behind at more than one character"),
        ("a|(?<!a)b", "look-behind at the start"),
        (r"(a)\1", "back-reference"),
        ("(a)?(?(1)b|c)", "conditional group"),
        ("^a", "anchor"),
        (r"a\b", "word boundary"),
        ("(?>a)", "atomic group"),
        ("a*+", "possessive quantifier"),
        ("(a", "unterminated subpattern"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(pattern: str, what: str) -> None:
    with pytest.raises(RegexError, match=what):
        terminal_dfa(pattern)


@pytest.mark.parametrize("pattern", ["(a{1000}){1000}", "(?:a|b)*a(?:a|b){20}", "a{99999999}"])
def test_a_pattern_that_explodes_is_too_large(pattern: str) -> None:
    with pytest.raises(GrammarTooLargeError):
        terminal_dfa(pattern)
