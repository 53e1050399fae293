"""What GBNF text means construct by construct, its samples, and how errors point at the place."""

from __future__ import annotations

import random

import pytest

from guided.errors import (
    EmptyGrammarError,
    GrammarError,
    GrammarTooLargeError,
    VocabularyError,
)
from guided.grammars.gbnf import gbnf, looks_like_gbnf, sample, sample_names
from guided.grammars.lark import sample as lark_sample
from guided.grammars.lark import sample_names as lark_names
from guided.grammars.vocabulary import Vocabulary
from guided.outputs import output_of
from guided.testing import allowed_tokens, check_grammar_laws

CONSTRUCTS = [
    ('root ::= "ab"*', ["", "ab", "abab"], ["a", "aba", "abb"]),
    ('root ::= "a" "b"+ | "c"?', ["", "c", "ab", "abb"], ["a", "abc", "cc"]),
    ('root ::= ("a" | "b"){2,3}', ["aa", "bab"], ["a", "aaaa", ""]),
    ('root ::= "a"{2} "b"{1,} "c"{0,0}', ["aab", "aabb"], ["aa", "ab", "aabc"]),
    ("root ::= [a-c-e]+", ["a-e", "cab"], ["d", ""]),
    ("root ::= [-+] [+-] [^-]", ["-+x", "+-é"], ["+--", "ab-"]),
    ('root ::= [\\]\\[\\\\"\\-]{5}', ['][\\"-'], ["[[[[a"]),
    ("root ::= [a^] [^^]", ["^a", "ab"], ["^^", "b^"]),
    ('root ::= "\\x41\\u00e9\\U0001F600\\t\\n"', ["Aé😀\t\n"], ["A\\u00e9"]),
    ("root ::= . [^x]", ["\n\n", "😀é", "xy"], ["ax", "a", ""]),
    ("root ::= [ぁ-ゟ]+ [\\u0400-\\u04ff]", ["ひらЖ"], ["ひら", "カЖ"]),
    ('root ::= "a\nb"', ["a\nb"], ["ab"]),
    ("root ::= a-b a_b 2 # names\na-b ::= \"1\"\na_b::=\"2\"\n2 ::= \"3\"", ["123"], ["12"]),
    ('root ::=\n  # first\n  "a" |\n\n  "b" "c"\n', ["a", "bc"], ["b", "ac"]),
    ('root ::= (\r\n "a"\r\n | "b"\r\n)*\r\n', ["", "ab"], ["c"]),
    ('root ::= | "a" | ()', ["", "a"], ["aa"]),
    ('root ::= "a"?*', ["", "aaa"], ["b"]),
    ('root ::= ("a"+)+ ""', ["a", "aaa"], ["", "b"]),
    ('root ::= root "+" root | "1"', ["1", "1+1+1"], ["1+", "+1"]),
    ('root ::= x root | "."\nx ::= y | "x"\ny ::= x | ""', [".", "xx."], ["x", ".x"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "accepted", "rejected"), CONSTRUCTS)
def test_a_construct_means_what_llama_cpp_says(
    text: str, accepted: list[str], rejected: list[str]
) -> None:
    grammar = gbnf(text)
    for word in accepted:
        assert grammar.accepts(word.encode()), word
    for word in rejected:
        assert not grammar.accepts(word.encode()), word


ERRORS = [
    ("", "no rule 'root'", 1, 1),
    ('foo ::= "a"', r"no rule 'root' .*its rules: foo", 1, 1),
    ('# c\nroot = "a"', "expected '::=' after the name 'root', not '='", 2, 6),
    ('root ::= "a', "the literal is not closed", 1, 10),
    ('root ::= "b" [a', "the character class is not closed", 1, 14),
    ("root ::= [b-a]", "the range b-a is the wrong way round", 1, 11),
    ("root ::= []", "no character belongs", 1, 10),
    ("root ::= [^\\u0000-\\U0010FFFF]", "no character belongs", 1, 10),
    ("root ::= [\\uD800-\\uDFFF]", "no character belongs", 1, 10),
    ("root ::= a\n  b", "expected '::=' after the name 'b'", 2, 4),
    ("root ::= a", "rule 'a' is not defined", 1, 10),
    ('root ::= "a"\n  | "b"', "after '|' and inside of parentheses", 2, 3),
    ('root ::= "a" |\nfoo ::= "b"', "before the last one is complete", 2, 5),
    ('root ::= "a" foo ::= "b"', "before the last one is complete", 1, 18),
    ('root ::= "a"\nroot ::= "b"', "rule 'root' is defined twice", 2, 1),
    ('root ::= + "a"', r"nothing that '\+' could repeat", 1, 10),
    ("root ::= ({2})", r"nothing that '{' could repeat", 1, 11),
    ('root ::= "\\q"', r"unknown escape '\\\\q'", 1, 11),
    ('root ::= "\\', "unknown escape", 1, 11),
    ('root ::= "\\x4"', "expected 2 hexadecimal digits", 1, 11),
    ('root ::= "\\U00110000"', "there is no character 0x110000", 1, 11),
    ('root ::= "\\uD800"', "lone surrogate", 1, 10),
    ('root ::= ("a"', r"'\(' not closed", 1, 10),
    ('root ::= "a")', r"'\)' closes nothing", 1, 13),
    ("root ::= @", "unexpected '@'", 1, 10),
    ('root ::= "a"{3,2}', "cannot repeat 3 to 2 times", 1, 13),
    ('root ::= "a"{,2}', "expected {m}, {m,} or {m,n}", 1, 13),
    ("root ::= <[12]>", "say in `special_tokens` which one 12 is", 1, 10),
    ("root ::= <[x]>", "with a token's number", 1, 10),
    ("root ::= <", "expected a special token", 1, 10),
    ("root ::= !<think>", "only the forms with", 1, 10),
    ("root ::= !<think>{2}", "only the forms with", 1, 10),
    ('root ::= !"a"', "after '!'", 1, 11),
]


@pytest.mark.parametrize(("text", "message", "line", "column"), ERRORS)
def test_an_error_says_what_is_wrong_and_where(
    text: str, message: str, line: int, column: int
) -> None:
    with pytest.raises(GrammarError, match=message) as caught:
        gbnf(text)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("root ::= " + "(" * 101, "parentheses inside of each other"),
        ('root ::= "a"{99999999999999999999}', "too many repetitions"),
        ('root ::= root2{900000000} "b"\nroot2 ::= "a" root2 | "c"', "rule states"),
        ("#" * 500_001, "more than 500000"),
    ],
)
def test_what_is_too_large_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(GrammarTooLargeError, match=message):
        gbnf(text)


def test_endless_rules_have_no_text() -> None:
    with pytest.raises(EmptyGrammarError):
        gbnf('root ::= "a" root')


def test_another_start_rule_can_be_named() -> None:
    assert gbnf('root ::= "a"\nother ::= "b"', "other").accepts(b"b")


THINKING = 'root ::= <think> !</think>* </think> answer\nanswer ::= "yes" | "no"'


def test_token_terms_are_special_tokens() -> None:
    tokens = [bytes([byte]) for byte in range(256)] + [b"yes", None, None, None]
    vocabulary = Vocabulary.from_tokens(tokens, [259], {"<think>": 257, "</think>": 258})
    state = gbnf(THINKING).start(vocabulary)
    assert allowed_tokens(state.mask(), 260) == {257}
    state = state.advance(257)  # type: ignore[assignment]
    assert {258, 256, ord("<")} <= allowed_tokens(state.mask(), 260)
    assert 257 not in allowed_tokens(state.mask(), 260)
    for token in (*b"<b>", 258):
        state = state.advance(token)  # type: ignore[assignment]
    assert allowed_tokens(state.mask(), 260) == {256, ord("y"), ord("n")}


def test_token_ids_are_named_by_the_caller() -> None:
    by_id = THINKING.replace("</think>", "<[12]>").replace("<think>", "<[11]>")
    names = {11: "<think>", 12: "</think>"}
    assert gbnf(by_id, special_tokens=names) == gbnf(THINKING)


@pytest.mark.parametrize("text", ['root ::= "a" <x> "b"', 'root ::= "a" | <x>', "root ::= <x>"])
def test_a_special_token_that_the_tokenizer_lacks_is_named(text: str) -> None:
    vocabulary = Vocabulary.from_tokens([b"a", b"b", None, None], [2], {"<y>": 3})
    with pytest.raises(VocabularyError, match="special token '<x>'"):
        gbnf(text).start(vocabulary)


@pytest.mark.parametrize("text", ['root ::= "a" <x> "b"', 'root ::= "a" | <x>', "root ::= <x>"])
def test_special_tokens_need_no_tokens_for_the_letters_of_their_names(text: str) -> None:
    vocabulary = Vocabulary.from_tokens([b"a", b"b", None, None], [2], {"<x>": 3})
    state = gbnf(text).start(vocabulary)
    while not state.is_accepting:
        state = state.advance(max(allowed_tokens(state.mask(), 4) - {2}))  # type: ignore[assignment]
    assert allowed_tokens(state.mask(), 4) == {2}


@pytest.mark.parametrize("name", sample_names())
def test_a_sample_accepts_and_rejects_what_it_says_and_obeys_the_laws(name: str) -> None:
    chosen = sample(name)
    grammar = chosen.grammar()
    assert len(chosen.accepted) >= 6
    assert len(chosen.rejected) >= 6
    for text in chosen.accepted:
        assert grammar.accepts(text.encode()), text
    for text in chosen.rejected:
        assert not grammar.accepts(text.encode()), text
    accepted = sorted(filter(None, chosen.accepted), key=len)[:2]
    used = sorted(set("".join(accepted).encode()))
    tokens: list[bytes | None] = [bytes([byte]) for byte in used]
    tokens += [b"  ", b'":', b"(a", b"- ", b"\n- ", b"e4", None]
    vocabulary = Vocabulary.from_tokens(tokens, stop_ids=[len(tokens) - 1])
    rejected = [text for text in chosen.rejected if set(text.encode()) <= set(used)][:3]
    check_grammar_laws(grammar, vocabulary, accepted, rejected, budgets=(2, 6))


def test_an_unknown_sample_is_an_error() -> None:
    with pytest.raises(GrammarError, match="there are arithmetic, chess, json, list"):
        sample("nothing")


def test_json_means_the_same_as_a_lark_grammar_of_json() -> None:
    ours, theirs = sample("json").grammar(), lark_sample("json").grammar()
    rng = random.Random(7)
    texts = [t for t in sample("json").accepted if len(t) < 40]
    for _ in range(60):
        text = rng.choice(texts)
        place = rng.randint(0, len(text))
        text = text[:place] + rng.choice(["", *'[]{},:" 1e.-tn\\']) + text[place + 1 :]
        assert ours.accepts(text.encode()) == theirs.accepts(text.encode()), text


def test_lark_text_is_never_taken_for_gbnf() -> None:
    for name in lark_names():
        assert not looks_like_gbnf(lark_sample(name).text)
    assert not looks_like_gbnf('start: "root ::=" /a ::= b/ // root ::= c')
    for name in sample_names():
        assert looks_like_gbnf(sample(name).text)


def test_the_grammar_argument_takes_gbnf_too() -> None:
    grammar = output_of(grammar='root ::= "a"+').grammar
    assert grammar is not None
    assert grammar.accepts(b"aa")
