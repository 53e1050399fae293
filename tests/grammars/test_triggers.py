"""Free text around a grammar."""

from __future__ import annotations

import itertools

import pytest

from guided.errors import GrammarError
from guided.grammars.ir import special_bytes
from guided.grammars.lark import lark
from guided.grammars.triggers import after, between
from guided.grammars.vocabulary import Vocabulary

ANSWER = lark('start: "x" start "y" | "a"')


def texts(alphabet: str, longest: int) -> list[str]:
    return ["".join(w) for n in range(longest + 1) for w in itertools.product(alphabet, repeat=n)]


def is_answer(text: str) -> bool:
    depth = len(text) // 2
    return text == "x" * depth + "a" + "y" * depth


@pytest.mark.parametrize("trigger", ["x", "aa", "axa", "aab"])
def test_after_splits_at_the_first_trigger(trigger: str) -> None:
    grammar = after(trigger, ANSWER)
    for text in texts("axyb"[: 3 + ("b" in trigger)], 6):
        _, found, rest = text.partition(trigger)
        assert grammar.accepts(text.encode()) == (bool(found) and is_answer(rest)), text


def test_after_allows_any_characters_before_the_trigger() -> None:
    grammar = after("</think>", ANSWER)
    assert grammar.accepts("warum? 为什么 🤔 < </ </thin\n</think>xay".encode())
    assert not grammar.accepts(b"\xff</think>a")
    assert not grammar.accepts(b"\xf0\x9f</think>a")


def test_after_a_special_token_the_same_spelling_in_text_is_free() -> None:
    grammar = after("</think>", ANSWER, special=True)
    token = special_bytes("</think>")
    assert grammar.accepts(b"a </think> b" + token + b"xay")
    assert not grammar.accepts(b"a </think>a")
    assert not grammar.accepts(b"a" + token + b"b" + token + b"a")


def test_after_may_be_nested() -> None:
    grammar = after("1", after("2", ANSWER))
    assert grammar.accepts(b"21-1-2a")
    assert not grammar.accepts(b"2-1-a")


def reference_between(text: str, *, required: bool, once: bool, inside: bool = False) -> bool:
    _, found, rest = text.partition("(")
    if not found:
        return inside or not required
    for position, character in enumerate(rest):
        if character == ")" and is_answer(rest[:position]):
            remaining = rest[position + 1 :]
            if once and not remaining:
                return True
            if not once and reference_between(
                remaining, required=required, once=False, inside=True
            ):
                return True
    return False


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("once", [False, True])
def test_between_holds_every_region_to_the_grammar(required: bool, once: bool) -> None:
    grammar = between("(", ")", ANSWER, required=required, once=once)
    for text in texts("(a)xy", 6):
        expected = reference_between(text, required=required, once=once)
        assert grammar.accepts(text.encode()) == expected, text


def test_between_tags_of_several_characters() -> None:
    grammar = between("<tool>", "</tool>", ANSWER)
    assert grammar.accepts(b"so <tool>xay</tool> and <too <tool>a</tool>.")
    assert grammar.accepts(b"none at all </tool>")
    assert not grammar.accepts(b"so <tool>xa</tool>")
    assert not grammar.accepts(b"so <tool>")


def test_between_special_tokens() -> None:
    grammar = between("<tool>", "</tool>", ANSWER, special=True)
    start, end = special_bytes("<tool>"), special_bytes("</tool>")
    assert grammar.accepts(b"say <tool>, then " + start + b"a" + end + b" done")
    assert not grammar.accepts(start + b"b" + end)


def test_masks_leave_the_free_text_only_through_the_trigger() -> None:
    tokens = [b"a", b"x", b"y", b"</", b"</s", b"</s>a", b"\xc3", b"\xa9", None]
    vocabulary = Vocabulary.from_tokens(tokens, stop_ids=[8])
    state = after("</s>", ANSWER).start(vocabulary)
    assert [state.accepts(t) for t in range(9)] == [True] * 7 + [False, False]
    after_lead = state.advance(6)
    assert after_lead is not None
    assert [t for t in range(9) if after_lead.accepts(t)] == [7]
    done = state.advance(5)
    assert done is not None
    assert [t for t in range(9) if done.accepts(t)] == [8]


def test_a_special_trigger_is_taken_as_one_token() -> None:
    tokens = [b"a", b"xa", None, None, b"y"]
    vocabulary = Vocabulary.from_tokens(tokens, stop_ids=[3], specials={"<go>": 2})
    state = after("<go>", ANSWER, special=True).start(vocabulary)
    assert [t for t in range(5) if state.accepts(t)] == [0, 1, 2, 4]
    going = state.advance(2)
    assert going is not None
    assert [t for t in range(5) if going.accepts(t)] == [0, 1]


def test_the_grammars_own_rules_are_never_shadowed() -> None:
    grammar = lark('start: text\ntext: "a"')
    assert after("-", after("+", grammar)).accepts(b"-+a")


@pytest.mark.parametrize("build", [lambda g: after("", g), lambda g: between("", ")", g)])
def test_an_empty_trigger_is_an_error(build: object) -> None:
    assert callable(build)
    with pytest.raises(GrammarError, match="empty"):
        build(ANSWER)


def test_an_empty_end_is_an_error() -> None:
    with pytest.raises(GrammarError, match="end of a region is empty"):
        between("(", "", ANSWER)
