"""`&` is exactly the common texts, and its masks lead into no dead end."""

from __future__ import annotations

import itertools
import json
import pickle
import random
import re

import pytest

from guided.errors import EmptyGrammarError, GrammarError, GrammarTooLargeError
from guided.grammars.choices import choices
from guided.grammars.gbnf import gbnf
from guided.grammars.grammar import Grammar
from guided.grammars.ir import Net
from guided.grammars.json_schema import json_schema
from guided.grammars.lark import lark
from guided.grammars.lark import sample as lark_sample
from guided.grammars.regex import regex
from guided.grammars.triggers import after
from guided.grammars.vocabulary import Vocabulary
from guided.testing import allowed_tokens, check_grammar_laws
from tests.grammars.random_grammars import random_spec, words_of

LONGEST = 5
PATTERNS = [
    "(ab?c?|,)*",
    "[^b]*",
    "(..)*",
    "a?b?c?,?a?",
    ".*b.*",
    "(a|b|c|,){0,3}",
]
TOY = Vocabulary.from_tokens([b"a", b"b", b"c", b",", b"ab", b"b,", b"ca", b"aa", None], [8])


@pytest.mark.parametrize("block", range(5))
def test_random_grammars_and_regexes_have_exactly_their_common_texts(block: int) -> None:
    met = empty = 0
    for seed in range(30 * block, 30 * block + 30):
        rng = random.Random(seed)
        spec, pattern = random_spec(rng), rng.choice(PATTERNS)
        try:
            left = Grammar(spec)
        except EmptyGrammarError:
            continue
        words = words_of(spec, LONGEST)
        common = {word for word in words if re.fullmatch(pattern, word.decode())}
        try:
            both = left & regex(pattern) if rng.random() < 0.5 else regex(pattern) & left
        except EmptyGrammarError:
            assert not common, (seed, pattern)
            empty += 1
            continue
        except GrammarError:
            assert left._builder.any_order, (seed, pattern)
            continue
        for word in words | {b"", b"ab", b"a,b", b"ccc"}:
            assert both.accepts(word) == (word in common), (seed, pattern, word)
        met += bool(common)
    assert met > 10
    assert block or empty


@pytest.mark.parametrize("seed", range(8))
def test_masks_of_an_intersection_are_those_of_brute_force(seed: int) -> None:
    rng = random.Random(seed)
    both = lark('start: "a" start "b" start | "c"? | ","') & regex(
        rng.choice(["(ab?c?|,)*", ".{0,7}"])
    )
    words = {
        bytes(w)
        for n in range(8)
        for w in itertools.product(b"abc,", repeat=n)
        if both.accepts(bytes(w))
    }
    state, text = both.start(TOY), b""
    for _ in range(4):
        wanted = {
            token
            for token, data in enumerate(TOY.tokens)
            if data is not None and any(word.startswith(text + data) for word in words)
        } | ({8} if text in words else set())
        # Words of up to seven letters tell for the first three.
        assert allowed_tokens(state.mask(), TOY.size) == wanted, text
        token = rng.choice(sorted(wanted))
        if token == 8 or len(text) > 2:
            break
        state, text = state.advance(token), text + (TOY.tokens[token] or b"")  # type: ignore[assignment]


def test_the_laws_of_grammars_hold_for_an_intersection() -> None:
    nested = lark('start: "a" start "b" start | "c"?')
    check_grammar_laws(
        nested & regex("[^,]{2,8}"), TOY, [b"aacbcbc", b"ab", b"acbc"], [b"", b"c", b"abababababa"]
    )


TEXTS = [
    '{"name": "x", "n": 3}',
    '{"name": "é", "n": 3}',
    '{"name": "abcd", "n": 3}',
    '{"name": "\\u00e9\\ud83d\\ude00", "n": 3}',
    '{"name": "ab", "n": 34}',
    '{"name":"ab","n":-3}',
    '{"name": "abc"}',
    '{"name": "", "n": 0}',
]
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 3},
        "n": {"type": "integer"},
    },
    "required": ["name", "n"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "pattern",
    [r"[ -~]*", r"(?s:.*)3\}", r".{0,21}", r"(?s:.*)", r"[^\\]*", r'.*"..".*', r".*\\u.*"],
)
def test_a_schema_and_a_regex_count_characters_of_strings_as_the_schema_does(pattern: str) -> None:
    schema = json_schema(SCHEMA)
    both = schema & regex(pattern)
    for text in TEXTS:
        wanted = schema.accepts(text.encode()) and re.fullmatch(pattern, text) is not None
        assert both.accepts(text.encode()) == wanted, text
    assert any(both.accepts(text.encode()) for text in TEXTS)


def test_generation_follows_both_sides() -> None:
    tokens = [bytes([byte]) for byte in range(128)] + [b'"name', b'": ', b", ", None]
    vocabulary = Vocabulary.from_tokens(tokens, [131])
    both = json_schema(SCHEMA) & regex(r"(?s:.*)7[^7]*") & regex("[ -~]{10,40}")
    for seed in range(5):
        state, ids, rng = both.start(vocabulary), [], random.Random(seed)
        for left in range(60, 0, -1):
            token = rng.choice(sorted(allowed_tokens(state.mask_within(left), vocabulary.size)))
            state = state.advance(token)  # type: ignore[assignment]
            if token == 131:
                break
            ids.append(token)
        text = vocabulary.decode(ids).decode()
        assert set(json.loads(text)) == {"name", "n"}
        assert "7" in text
        assert 10 <= len(text) <= 40


def test_regular_grammars_of_every_front_end_are_seen_to_be_regular() -> None:
    nested = lark('start: "a" start "b" | "c"')
    for regular in (
        choices(["acb", "c", "x"]),
        gbnf('root ::= "a"* c "b"?\nc ::= "c"'),
        lark('start: "a" ~ 0..2 "c" "b" ~ 0..2'),
        regex("a*cb*"),
    ):
        for both in (nested & regular, regular & nested):
            assert both.accepts(b"acb")
            assert not both.accepts(b"ac")


def test_two_regular_sides_are_one_automaton() -> None:
    both = regex("[ab]*") & choices(["ab", "abc", "b"])
    assert len(both.spec.rules) == 1
    assert both == choices(["b", "ab"])


def test_an_intersection_can_be_used_as_any_grammar() -> None:
    both = lark('start: "a" start "b" | "c"') & regex(".{3,5}")
    assert any(isinstance(expr, Net) for expr in both.spec.rules.values())
    again = pickle.loads(pickle.dumps(both))
    assert again == both
    assert again.accepts(b"aacbb")
    assert both != lark('start: "a" start "b" | "c"') & regex(".{3,4}")
    assert both.with_prefix(b"x").accepts(b"xacb")
    assert after("!", both).accepts(b"so !acb")
    assert repr(both) == repr(both.source).join(("Grammar(", ")"))


def test_special_tokens_are_no_text_of_a_regex() -> None:
    tool = gbnf('root ::= "a" <t> | "b"')
    assert (tool & regex("(?s:.*)")).specials == frozenset()
    kept = tool & gbnf("root ::= . <t>")
    assert kept.specials == {"<t>"}


def test_what_cannot_be_intersected_is_refused_by_name() -> None:
    nested = lark('start: "a" start "b" | "c"')
    with pytest.raises(GrammarError, match="neither side of & is regular"):
        nested & json_schema(SCHEMA)
    with pytest.raises(GrammarError, match="any order"):
        json_schema(SCHEMA, property_order="any") & regex(".*")
    with pytest.raises(EmptyGrammarError, match="no text in common"):
        nested & regex("a*")
    with pytest.raises(EmptyGrammarError, match="no text in common"):
        regex("a+") & regex("b+")
    with pytest.raises(GrammarTooLargeError, match="more than"):
        lark_sample("python_subset").grammar() & regex("(?s:.{0,400})")
    with pytest.raises(TypeError):
        nested & "a*"  # type: ignore[operator]
