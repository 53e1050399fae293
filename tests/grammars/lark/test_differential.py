"""Lark itself says which texts a grammar accepts."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from guided.errors import EmptyGrammarError
from guided.grammars.lark import lark

TEXTS = ["".join(w) for n in range(6) for w in itertools.product("abc", repeat=n)]


def assert_same_language(grammar: str, oracle: Any) -> None:
    parser = oracle(grammar)
    try:
        ours = lark(grammar)
    except EmptyGrammarError:
        assert not any(map(parser.accepts, TEXTS)), grammar
        return
    for text in TEXTS:
        assert ours.accepts(text.encode()) == parser.accepts(text), (grammar, text)


@pytest.mark.parametrize("seed", range(50))
def test_a_random_grammar_means_what_lark_says(seed: int, random_lark: Any, oracle: Any) -> None:
    assert_same_language(random_lark(seed), oracle)


@pytest.mark.parametrize("seed", range(40))
def test_ignored_terminals_are_skipped_where_lark_skips_them(
    seed: int, random_skipping_lark: Any, oracle: Any
) -> None:
    assert_same_language(random_skipping_lark(seed), oracle)


# What is skipped is the longest match, so that what may follow depends on it, here even beyond the
# next terminal.
@pytest.mark.parametrize(
    "grammar",
    [
        "start: (A | B)+",
        "start: (A | B) ~ 0..3",
        "start: (A | B) ~ 2 C",
        "start: A start B | C?",
        "start: start A | start B | C",
        "start: x* C\nx: A | B C | B x",
        "start: A? (B | C C)* A?",
    ],
)
@pytest.mark.parametrize("ignored", ["/(c|aab)+/", "/(c|bba*)+/", "/c/\n%ignore /(ab)+/"])
def test_watches_on_skipped_text_reach_across_rules(
    grammar: str, ignored: str, oracle: Any
) -> None:
    assert_same_language(f'{grammar}\nA: "a"\nB: "b"\nC: "c"\n%ignore {ignored}', oracle)


@pytest.mark.parametrize(
    "grammar",
    [
        'start: "a"* "b"',
        'start: ["a"] ["b"] ["c"]',
        'start: "a" ~ 2 | "b" ~ 1..3 "a"',
        '?start: "(" start ")" | "a" -> letter\n',
        '!start: x+\nx.3: "a" | "b" "c"',
        'start: _pair ("c" _pair)*\n_pair: "a" "b" | "b" "a"',
        'start: sep{"a", "b"}\nsep{item, separator}: item (separator item)*',
        'start: twice{sep, "a"}\ntwice{f, x}: f{x, "b"} f{x, "c"}\nsep{x, y}: x (y x)*',
        'start: A B\nA.2: "a"+\nB.-1: A | "b" ~ 0..2 "c"',
        'start: A\nA: ("a" | "ab") ("b" | "bc")?',
        'start: A "c"\nA: "a".."b" ~ 1..3',
        'start: "A"i "b"i',
        "start: /A(?i:B)c?/i",
        "start: /a # comment\n b*/x",
        "start: a\na: b | c\nb: b b | \nc: c c | a",
        'start: x\nx: "a"\n%extend x: "b"',
        'start: A\nA: "a"\n%override A: "b"',
        "start: | start start | /a/",
        "start: s\ns: s s s | s s | /[ab]/ |",
        'start: expr\nexpr: expr "a" expr | expr "b" | "c" expr | "c"',
    ],
)
def test_every_construct_means_what_lark_says(grammar: str, oracle: Any) -> None:
    assert_same_language(grammar, oracle)


CHARACTERS = [
    ('start: "é"i "ß" /\\w/ /[^\\x00-\\x7f]+/', ["éßa€", "Éßé😀", "eßa€", "éss€", "éß_é", "éß€€"]),
    ("start: /./ /(?s:.)/", ["aa", "a\n", "\na", "😀é", "a", "é\u2028"]),
    (
        "start: /[à-ÿ]/i /\\d/ /\\s/ /x/",
        ["é1 x", "É٣\u2003x", "é1\tx", "×1 x", "e1 x", "é² x", "é1x"],
    ),
    ("start: /(?a:\\w)/", ["a", "é", "_", "٣", "7"]),
    ('start: "\\u00e9" "\\n" "\\"" "\\\\"', ['é\n"\\', 'e\n"\\', 'é\\n"\\']),
    ('start: "α".."ω"+', ["λόγος", "αβγ", "ω", "a", "Α"]),
]


@pytest.mark.parametrize(("grammar", "texts"), CHARACTERS)
def test_characters_outside_of_ascii(grammar: str, texts: list[str], oracle: Any) -> None:
    parser, ours = oracle(grammar), lark(grammar)
    for text in texts:
        assert ours.accepts(text.encode()) == parser.accepts(text), text
