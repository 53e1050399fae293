"""Likely texts are legal, forced but for the layout, and divide where there are a few ways."""

from __future__ import annotations

import json

import pytest

from guided.grammars.choices import choices
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.regex import regex
from guided.grammars.spacing import Spacing
from guided.grammars.states import GrammarState
from guided.grammars.vocabulary import Vocabulary

BYTES = Vocabulary.from_tokens([None, *(bytes([i]) for i in range(256))], [0])
SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["a b", "ax"]},
        "on": {"type": "boolean"},
        "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2},
    },
    "required": ["kind", "on", "items"],
    "additionalProperties": False,
}
VALUE = {"kind": "a b", "on": True, "items": [1, 23]}


def after(grammar: Grammar, text: str) -> tuple[GrammarState, Spacing]:
    state = grammar.start(BYTES)
    spacing = Spacing()
    spacing.feed(text.encode())
    for token in BYTES.encode(text.encode()):
        following = state.advance(token)
        assert following is not None, text
        state = following
    return state, spacing


def likely(grammar: Grammar, text: str, most: int = 8) -> list[str]:
    state, spacing = after(grammar, text)
    return [found.decode() for found in state.likely_texts(spacing, most)]


@pytest.mark.parametrize(
    "form",
    [{}, {"separators": (",", ":")}, {"indent": 2}, {"indent": 4}, {"indent": 0}],
    ids=str,
)
def test_each_part_of_a_document_is_foretold_in_its_layout(form: dict) -> None:
    grammar = json_schema(SCHEMA, whitespace="any")
    text = json.dumps(VALUE, **form)
    # From the second member on: the first one shows the layout.
    for end in range(text.index("on"), len(text)):
        state, spacing = after(grammar, text[:end])
        for found in state.likely_texts(spacing, 1):
            whole = text[:end] + found.decode()
            assert text.startswith(whole), (text[:end], found)


def test_the_layout_of_json_dumps_is_taken_at_first() -> None:
    assert likely(json_schema(SCHEMA), "") == ['{"kind": "a b", "on": false, "items": [', *(
        '{"kind": "a b", "on": true, "items": [',
        '{"kind": "ax", "on": false, "items": [',
        '{"kind": "ax", "on": true, "items": [',
    )]  # fmt: skip
    assert likely(json_schema(SCHEMA), "", most=1) == ['{"kind": "a']


def test_a_blank_in_a_string_is_a_choice_like_any_other() -> None:
    assert likely(json_schema(SCHEMA), '{"kind": "a', most=1) == [""]
    assert len(likely(json_schema(SCHEMA), '{"kind": "a', most=2)) == 2


def test_texts_end_where_there_are_many_ways() -> None:
    assert likely(regex("ab[a-z]"), "") == ["ab"]
    assert likely(regex("ab[a-z]"), "ab") == [""]


def test_texts_end_where_the_word_may_end() -> None:
    assert likely(regex("ab(cd)?"), "") == ["ab"]
    assert likely(regex("ab(cd)?"), "ab") == [""]


def test_there_are_never_more_texts_than_asked_for() -> None:
    for most in range(1, 12):
        found = likely(regex("([ab][cd]){9}x"), "", most)
        assert len(found) <= most
        for one in found:
            assert not any(other != one and other.startswith(one) for other in found)


def test_all_texts_are_legal() -> None:
    for grammar in (json_schema(SCHEMA), choices(["no", "nothing", "yes"]), regex("([ab]c)+")):
        state = grammar.start(BYTES)
        for found in state.likely_texts(Spacing(), 8):
            assert state.accept_many(BYTES.encode(found)) == len(found)


def test_long_texts_are_cut() -> None:
    (found,) = likely(regex("a{1000}"), "")
    assert found == "a" * 256


def test_asking_changes_nothing() -> None:
    state, spacing = after(json_schema(SCHEMA), '{"kind":"ax",')
    key, before = spacing.key, state.key
    first = state.likely_texts(spacing, 4)
    assert (spacing.key, state.key) == (key, before)
    assert state.likely_texts(spacing, 4) == first


def test_a_finished_text_has_nothing_to_come() -> None:
    state = choices(["a"]).start(BYTES)
    for token in (BYTES.encode(b"a")[0], 0):
        state = state.advance(token)
    assert state.likely_texts(Spacing(), 4) == (b"",)


@pytest.mark.parametrize(
    ("said", "byte", "expected"),
    [
        ('{"a":', None, b" "),
        ('{"a":1', ",", b""),
        ('{"a":1,', None, b""),
        ('{"a": 1,', None, b" "),
        ('{"a": "x, y', None, b""),
        ('{"a": "x\\"', None, b""),
        ("[1, 2", "]", b""),
        ("[\n  1", "]", b"\n"),
        ("[\n  [\n    1,", None, b"\n    "),
        ("[\n  [\n    1\n  ]", "]", b"\n"),
        ("[\n  1,\n  [", "]", b""),
    ],
)
def test_white_space_follows_the_text_so_far(said: str, byte: str | None, expected: bytes) -> None:
    spacing = Spacing()
    spacing.feed(said.encode())
    assert spacing.gap(None if byte is None else ord(byte)) == expected
