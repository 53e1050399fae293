"""Grammar texts that cannot work are refused with a reason and a place."""

from __future__ import annotations

import pytest

from guided.errors import EmptyGrammarError, GrammarError, GrammarTooLargeError
from guided.grammars.lark import lark

LOCATED = [
    ('start: ("a" \nx: "b"', 1, 13, "unexpected end of line"),
    ("start: a ~~ 2", 1, 11, "unexpected '~'"),
    ('start: "a" $', 1, 12, "unexpected"),
    ('start: "a', 1, 8, "unexpected"),
    ("start: foo", 1, 8, "rule 'foo' is not defined"),
    ('start: "x"\n  | FOO', 2, 5, "terminal 'FOO' is not defined"),
    ('start: "a"\nx: "b"\nstart: "c"', 3, 1, "rule 'start' is defined twice"),
    ('start: A\nA: "a"\nA: "b"', 3, 1, "terminal 'A' is defined twice"),
    ("start: A\n%import nowhere.A", 2, 1, "cannot import"),
    ("start: A\n%import common.NOTHING -> A", 1, 8, "terminal 'A' is not defined"),
    ("start: A\n%declare A", 1, 8, "terminal 'A' is declared but not defined"),
    ("start: x\n%declare x", 1, 8, "rule 'x' is declared but not defined"),
    ("start: /a*/", 1, 8, "can match the empty string"),
    ('start: "a"\n%ignore WS\nWS: " "?', 3, 1, "terminal 'WS' can match the empty string"),
    ('start: A\nA: "a" |', 2, 1, "terminal 'A' can match the empty string"),
    ("start: A\nA:", 2, 1, "terminal 'A' is empty"),
    ('start: A\nA: "a" A', 2, 1, "recursion in terminal 'A'"),
    ('start: A\nA: b\nb: "a"', 2, 1, "rules aren't allowed inside terminals"),
    ("start: A\nA: /a(?=b)/", 2, 1, "terminal 'A' cannot be used: look-ahead is not supported"),
    ("start: /(a)\\1/", 1, 8, "a back-reference is not supported"),
    ('start: "b" /^a/', 1, 12, "an anchor or word boundary is not supported"),
    ("start: /(a/", 1, 8, "unterminated subpattern"),
    ('start: ""', 1, 8, "empty terminals are not allowed"),
    ('start: "\\ud800"', 1, 8, "lone surrogate"),
    ('start: "a".."bc"', 1, 8, "range"),
    ('start: "z".."a"', 1, 8, "bad character range"),
    ('start: x\nx: "a" ~ 3..2', 2, 1, "cannot repeat 3..2 times"),
    ('start: x\nx: "a" ~ -1', 2, 1, "cannot repeat -1..-1 times"),
    ("start{x}: x", 1, 1, "must not be a template"),
    ("start: t\nt{x}: x", 1, 1, "template 't' is used without arguments"),
    ('start: t{"a", "b"}\nt{x}: x', 1, 1, "wrong number of template arguments"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), LOCATED)
def test_an_invalid_grammar_is_refused_with_its_place(
    text: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(GrammarError) as caught:
        lark(text)
    assert message in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line, column)
    shown = text.split("\n")[line - 1]
    assert f"  {shown}\n  {' ' * (column - 1)}^" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rule 'start' to start from"),
        ('other: "a"', r"no rule 'start' to start from \(its rules: other\)"),
        ('start: A\nA: "a" B\n%declare B', "only declared"),
        ("start: A\n%declare A B\n%override A: /a(?!b)/", "look-ahead"),
    ],
)
def test_an_invalid_grammar_is_refused(text: str, message: str) -> None:
    with pytest.raises(GrammarError, match=message):
        lark(text)


@pytest.mark.parametrize("text", ['start: start "a"', "start: x\nx: y\ny: x", "start: /[^\\s\\S]/"])
def test_a_grammar_without_a_word_is_empty(text: str) -> None:
    with pytest.raises(EmptyGrammarError, match="start"):
        lark(text)


@pytest.mark.parametrize("tokens", [{"TOOL": "<t>"}, {"A": "<t>"}])
def test_a_special_token_must_be_declared(tokens: dict[str, str]) -> None:
    with pytest.raises(GrammarError, match="must be announced"):
        lark('start: A\nA: "a"', special_tokens=tokens)


def doubling(steps: int) -> str:
    lines = [f"A{n}: A{n - 1} A{n - 1}" for n in range(1, steps)]
    return "\n".join([f"start: A{steps - 1}", 'A0: "a"', *lines])


EXPLOSIONS = [
    (doubling(60), "terminal 'A59' expands to more than 50000 characters"),
    ("start: " + "(" * 10_000 + '"a"' + ")" * 10_000, "nested too deeply to be read"),
    ("start: " + "(" * 250 + '"a"' + ")" * 250, "nested too deeply"),
    ("start: A\nA: " + "(" * 3_000 + '"a"' + ")" * 3_000, "nested too deeply"),
    ("start: /(a{1000}){1000}/", "needs more than 20000 nodes"),
    ('start: t{x}\nx: "a"\nt{y}: y | t{u{y}}\nu{y}: y y', "templates are instantiated more than"),
    ('start: "a" | x\nx: "b"\n' * 30_000, "more than 500000"),
]


@pytest.mark.parametrize(("text", "message"), EXPLOSIONS)
def test_a_grammar_that_explodes_is_too_large(text: str, message: str) -> None:
    with pytest.raises(GrammarTooLargeError, match=message):
        lark(text)
