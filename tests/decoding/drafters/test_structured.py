"""Copied strings are closed where their words end, and the grammar goes on from there."""

from __future__ import annotations

from typing import Any

import pytest

from guided.controls import GrammarMask
from guided.decoding import Branch, Plain
from guided.decoding.drafters import GrammarText, LogitNgram, Lookup, spell_as
from guided.decoding.drafters.structured import Structured
from guided.errors import InputError
from guided.grammars.json_schema import json_schema
from guided.testing import check_drafter_laws, tiny_model

MODEL = tiny_model()
SPELL = spell_as(MODEL.tokenizer, MODEL.vocabulary)
STRING = {"type": "string"}
SCHEMA = {
    "type": "object",
    "properties": {"name": STRING, "pets": {"type": "array", "items": STRING}},
    "required": ["name", "pets"],
    "additionalProperties": False,
}
PROMPT = "I am Wug Dax, with zyx. "


@pytest.fixture
def started(opened: Any) -> Any:
    def make(said: str, prompt: str = PROMPT) -> Branch:
        mask = GrammarMask(json_schema(SCHEMA))
        return opened(MODEL, SPELL(prompt.encode()), SPELL(said.encode()), [mask])

    return make


def structured() -> Structured:
    return Structured(GrammarText(MODEL.vocabulary, SPELL), Lookup(MODEL.vocabulary))


def texts(chains: list[list[int]]) -> list[str]:
    return [MODEL.decode(chain) for chain in chains]


def test_a_copy_is_closed_where_a_word_ends(started: Any, ask: Any, chains: Any) -> None:
    found = texts(chains(ask(structured(), started('{"name": "Wu'), room=60)))
    assert any(text.startswith('g", "pets": [') for text in found)
    assert any(text.startswith('g Dax", "pets": [') for text in found)
    assert not any('Da"' in text for text in found)


def test_punctuation_ends_a_value_sooner_than_a_blank(started: Any, ask: Any) -> None:
    draft = ask(structured(), started('{"name": "Wu'), room=60)
    closing = [
        (MODEL.decode(draft.tokens[at] for at in draft.path(parent)), chance)
        for parent, chance, source in zip(draft.parents, draft.chances, draft.sources, strict=True)
        if source == "closing" and draft.sources[parent] == "lookup"
    ]
    chances = dict(closing)
    assert chances["g Dax"] > chances["g"]


def test_a_value_that_ends_here_is_closed_at_once(started: Any, ask: Any, chains: Any) -> None:
    found = texts(chains(ask(structured(), started('{"name": "Wug'), room=60)))
    assert any(text.startswith('", "pets": [') for text in found)
    # Within a word it goes on.
    found = texts(chains(ask(structured(), started('{"name": "Wu'), room=60)))
    assert not any(text.startswith('"') for text in found)


def test_what_is_forced_and_what_is_copied_stand_side_by_side(started: Any, ask: Any) -> None:
    drafter = structured()
    forced = ask(drafter, started(""), room=40)
    assert MODEL.decode(forced.tokens).startswith('{"name": "')
    copied = ask(drafter, started('{"name": "Wu'), room=4)
    assert "lookup" in copied.sources
    assert len(copied) == 4


def test_closings_are_legal(started: Any, ask: Any) -> None:
    branch = started('{"name": "Wu')
    draft = ask(structured(), branch, room=60)
    closings = [node for node, source in enumerate(draft.sources) if source == "closing"]
    assert closings
    for node in closings:
        tokens = [draft.tokens[at] for at in draft.path(node)]
        assert branch.states[0].grammar.accept_many(tokens) == len(tokens)


def test_laws_are_kept_only_by_a_chain(started: Any, ask: Any) -> None:
    draft = ask(structured(), started('{"name": "Wu'), 20, Plain(), keeps_laws=True)
    assert draft.is_chain
    assert set(draft.sources) == {"lookup"}


def test_drafts_are_well_formed_and_repeatable(started: Any) -> None:
    said = ["", '{"name": "Wu', '{"name": "Wug", "pets": ["zy', '{"name": "Wug"']
    check_drafter_laws(structured(), [started(text) for text in said], MODEL.vocabulary.size)


def test_without_a_grammar_copies_are_all(opened: Any, ask: Any) -> None:
    branch = opened(MODEL, SPELL(PROMPT.encode()), SPELL(b"Wu"))
    assert set(ask(structured(), branch).sources) == {"lookup"}


def test_a_fork_goes_on_by_itself(started: Any, ask: Any, push: Any) -> None:
    drafter, branch = structured(), started('{"name": "')
    ask(drafter, branch)
    child = branch.fork(9)
    drafter.fork(branch, child)
    push(branch, SPELL(b"Wu"))
    push(child, SPELL(b"zy"))
    assert "g Dax" in MODEL.decode(ask(drafter, branch, room=20).tokens)
    assert MODEL.decode(ask(drafter, child, room=20).tokens).startswith("x")


def test_a_drafter_that_reads_logits_is_refused() -> None:
    with pytest.raises(InputError, match="LogitNgram reads logits"):
        Structured(GrammarText(MODEL.vocabulary), LogitNgram(MODEL.vocabulary))
