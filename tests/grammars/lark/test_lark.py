"""What `lark` makes of a grammar text, beyond which texts it accepts."""

from __future__ import annotations

import time

import pytest

from guided.grammars.ir import GrammarSpec, Lex, Seq, special_bytes
from guided.grammars.lark import lark, lark_spec
from guided.grammars.vocabulary import Vocabulary


def test_a_regular_grammar_becomes_one_terminal() -> None:
    spec = lark_spec('start: digits (sep digits)*\ndigits: /[0-9]+/\nsep: "," | ";"')
    assert list(spec.rules) == ["start"]
    assert isinstance(spec.rules["start"], Lex)


def test_a_name_is_not_joined_to_what_comes_behind_it() -> None:
    spec = lark_spec('start: "let " name "=" name ";"\nname: /[a-z]+/')
    assert isinstance(spec.rules["start"], Seq)
    assert [part.dfa.shortest() for part in spec.rules["start"].parts] == [b"let a", b"=a", b";"]


def test_recursive_rules_stay_rules() -> None:
    spec = lark_spec('start: s\ns: s s | "(" s ")" | word\nword: "a" "b"')
    assert set(spec.rules) == {"start", "s"}


def test_rules_that_are_not_reached_are_left_out() -> None:
    spec = lark_spec('start: "a" start "b" |\nlost: "x" lost | BAD\nBAD: /a(?=b)/')
    assert set(spec.rules) == {"start"}


def test_any_rule_can_be_the_start() -> None:
    text = 'start: "a"\nother: "b"'
    assert lark(text, "other").accepts(b"b")
    assert not lark(text, start="other").accepts(b"a")


def test_equal_texts_give_equal_grammars() -> None:
    assert lark('start: "a"').key == lark('start: "a"  // again').key


def test_a_declared_terminal_stands_for_a_special_token() -> None:
    grammar = lark(
        'start: "call" TOOL /[a-z]+/ TOOL\n%declare TOOL\n%ignore " "',
        special_tokens={"TOOL": "<|tool|>"},
    )
    tool = special_bytes("<|tool|>")
    assert grammar.accepts(b"call " + tool + b"  x " + tool + b" ")
    assert not grammar.accepts(b"call <|tool|> x <|tool|>")
    vocabulary = Vocabulary.from_tokens(
        [b"call", b"x", b" ", None, None], stop_ids=[4], specials={"<|tool|>": 3}
    )
    state = grammar.start(vocabulary)
    assert state.accept_many([0, 2, 3, 1, 3, 2, 4]) == 7
    assert state.accept_many([0, 1]) == 1


def test_imported_terminals_mean_what_they_mean_in_lark() -> None:
    grammar = lark(
        "start: pair+\npair: CNAME ESCAPED_STRING SIGNED_NUMBER\n"
        "%import common (CNAME, ESCAPED_STRING, SIGNED_NUMBER, WS)\n%ignore WS"
    )
    assert grammar.accepts(b'a "b\\"c" -1.5e3 d2""7 ')
    assert not grammar.accepts(b'a "b"c" 1')


def test_an_imported_terminal_may_be_renamed() -> None:
    assert lark("start: N\n%import common.INT -> N").accepts(b"42")


def test_many_optional_parts_take_no_time() -> None:
    # Lark expands this rule into 2 ** 40 alternatives.
    options = " ".join(f'["{letter} {n}" x]' for n in range(5) for letter in "abcdefgh")
    begin = time.perf_counter()
    grammar = lark(f'start: {options}\nx: "." x |')
    assert time.perf_counter() - begin < 20
    assert grammar.accepts(b"a 0..c 1h 4.")
    assert not grammar.accepts(b"c 1a 0")


def test_large_counts_are_exact() -> None:
    grammar = lark('start: x ~ 900..1000\nx: "a" | "(" x ")"')
    assert [grammar.accepts(b"a" * n) for n in (899, 900, 1000, 1001)] == [False, True, True, False]


def test_a_part_without_words_is_dropped() -> None:
    assert lark('start: "a" | x\nx: "b" x').accepts(b"a")


def test_lark_spec_can_be_read_without_compiling() -> None:
    assert isinstance(lark_spec('start: start "a"'), GrammarSpec)


@pytest.mark.parametrize("text", ["", " ", "\n", "aa", "a b"])
def test_a_nullable_start_may_be_skipped_text_alone(text: str) -> None:
    grammar = lark('start: "a"?\n%ignore /[ \\n]/')
    assert grammar.accepts(text.encode()) == (text.strip() in ("", "a"))
