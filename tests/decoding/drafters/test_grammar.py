"""The grammar drafter writes what is forced, in canonical tokens and the layout used so far."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from guided.controls import GrammarMask
from guided.decoding.drafters.grammar import GrammarText
from guided.decoding.drafters.protocol import Observation
from guided.decoding.drafters.spelling import Speller, spell_as
from guided.grammars.choices import choices
from guided.grammars.json_schema import json_schema
from guided.grammars.regex import regex
from guided.grammars.triggers import after
from guided.grammars.vocabulary import Vocabulary
from guided.testing import WordGrammar, check_drafter_laws, table_model, tiny_model

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "mood": {"enum": ["happy", "hapless", "sad"]},
        "hobbies": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "mood", "hobbies"],
    "additionalProperties": False,
}
MODEL = tiny_model()
SPELL = spell_as(MODEL.tokenizer, MODEL.vocabulary)


@pytest.fixture
def drafted(opened: Any, ask: Any, chains: Any) -> Any:
    """The texts that are drafted after some output, the likeliest first."""

    def texts(said: str, prompt: str = "x", schema: object = PERSON, **options: Any) -> list[str]:
        drafter = GrammarText(MODEL.vocabulary, SPELL, **options)
        mask = GrammarMask(json_schema(schema))
        branch = opened(MODEL, MODEL.encode(prompt), SPELL(said.encode()), [mask])
        draft = ask(drafter, branch, room=64)
        for chain in chains(draft):
            assert branch.states[0].grammar.accept_many(chain) == len(chain)
        return [MODEL.decode(chain) for chain in chains(draft)]

    return texts


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", ['{"name": "']),
        ('{"name": "Mi', []),
        ('{"name": "Mi"', [', "mood": "']),
        ('{"name":"Mi"', [',"mood":"']),
        ('{"name": "Mi, so",', [' "mood": "']),
    ],
)
def test_forced_text_follows_the_layout_so_far(
    drafted: Any, said: str, expected: list[str]
) -> None:
    assert drafted(said, literals=1) == expected


def test_an_indented_layout_goes_on(opened: Any, ask: Any) -> None:
    grammar = json_schema(PERSON, whitespace="any")
    said = '{\n  "name": "Mi",\n  "mood": "sad",'
    branch = opened(MODEL, [5], SPELL(said.encode()), [GrammarMask(grammar)])
    draft = ask(GrammarText(MODEL.vocabulary, SPELL), branch, room=30)
    assert MODEL.decode(draft.tokens).startswith('\n  "hobbies": [')


def test_the_tokens_are_those_of_the_tokenizer(opened: Any, ask: Any) -> None:
    text = '{"name": "'
    branch = opened(MODEL, [5], [], [GrammarMask(json_schema(PERSON))])
    draft = ask(GrammarText(MODEL.vocabulary, SPELL), branch, room=30)
    expected = MODEL.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert draft.tokens == expected
    assert draft.is_chain


def test_literals_are_branches(drafted: Any) -> None:
    texts = drafted('{"name": "Mi", "mood": "')
    assert len(texts) > 2
    assert {text.split('"')[0] for text in texts} == {"happy", "hapless", "sad"}


@pytest.mark.parametrize("word", ["happy", "hapless", "sad"])
def test_a_literal_that_was_said_before_comes_first(drafted: Any, word: str) -> None:
    (text,) = drafted('{"name": "Mi", "mood": ', f"She is {word} today.")[:1]
    assert text.startswith(f'"{word}"')


def test_laws_are_kept_only_by_a_chain(opened: Any, ask: Any, chains: Any) -> None:
    branch = opened(MODEL, [5], [], [GrammarMask(choices(["cat", "dog"]))])
    drafter = GrammarText(MODEL.vocabulary, SPELL)
    assert len(chains(ask(drafter, branch))) == 2
    assert len(chains(ask(drafter, branch, keeps_laws=True))) == 1


def test_the_only_legal_token_is_certain(opened: Any, ask: Any) -> None:
    model = table_model(tokens=[b"a", b"b", b"ab", b"c"])
    branch = opened(model, [1], [], [GrammarMask(choices(["cabc"]))])
    draft = ask(GrammarText(model.vocabulary), branch)
    assert draft.tokens == [4, 3, 4]
    assert draft.chances[0] == draft.chances[2] == 1.0
    assert draft.chances[1] < 1.0


def test_the_drafter_learns_whether_the_last_token_of_a_text_is_right(
    opened: Any, ask: Any, push: Any
) -> None:
    # After "c" a choice, with which it could be the token "ca".
    model = table_model(tokens=[b"a", b"b", b"c", b"ca", b"cb"])
    drafter = GrammarText(model.vocabulary, literals=1)
    first = []
    for following in ([2, 4], [2, 5], [2, 4]):
        branch = opened(model, [1], [], [GrammarMask(regex("bc[ab]"))])
        draft = ask(drafter, branch)
        assert draft.tokens == [2, 3]
        first.append(draft.chances[1])
        push(branch, following)
        drafter.observe([Observation(branch, following, [1, 2], torch.zeros(2, 6))])
    assert first == [pytest.approx(0.95 * x / 0.95) for x in (1 / 2, 1 / 3, 1 / 4)]


def test_drafts_are_well_formed_and_repeatable(opened: Any) -> None:
    mask = GrammarMask(json_schema(PERSON))
    said = ["", '{"name": "Mi"', '{"name": "Mi", "mood": "', '{"name": "Mi", "mood": "sad", "hob']
    branches = [opened(MODEL, [5], SPELL(text.encode()), [mask]) for text in said]
    check_drafter_laws(GrammarText(MODEL.vocabulary, SPELL), branches, MODEL.vocabulary.size)


def test_nothing_is_drafted_without_a_grammar_or_in_free_text(opened: Any, ask: Any) -> None:
    drafter = GrammarText(MODEL.vocabulary, SPELL)
    assert len(ask(drafter, opened(MODEL, [5]))) == 0
    thinking = GrammarMask(after("</think>", json_schema(PERSON)))
    branch = opened(MODEL, [5], SPELL(b'I "think'), [thinking])
    assert len(ask(drafter, branch)) == 0
    branch = opened(MODEL, [5], SPELL(b'I "think </think>'), [thinking])
    assert MODEL.decode(ask(drafter, branch).tokens) == '{"name": "'


def test_a_fork_goes_on_in_its_own_layout(opened: Any, ask: Any, push: Any) -> None:
    drafter = GrammarText(MODEL.vocabulary, SPELL, literals=1)
    branch = opened(MODEL, [5], SPELL(b'{"name"'), [GrammarMask(json_schema(PERSON))])
    ask(drafter, branch)
    child = branch.fork(7)
    drafter.fork(branch, child)
    push(branch, SPELL(b': "a", "mood"'))
    push(child, SPELL(b':"a","mood"'))
    assert MODEL.decode(ask(drafter, branch).tokens) == ': "'
    assert MODEL.decode(ask(drafter, child).tokens) == ':"'


def test_any_grammar_with_the_right_interface_will_do(opened: Any, ask: Any) -> None:
    model = table_model(tokens=[b"a", b"b", b"ab", b"c"])
    branch = opened(model, [1], [], [GrammarMask(WordGrammar([b"abca", b"abcb"]))])
    draft = ask(GrammarText(model.vocabulary), branch)
    assert {model.decode(draft.tokens[i] for i in draft.path(n)) for n in (2, 3)} == {
        "abca",
        "abcb",
    }


def test_a_text_is_spelled_after_what_stands_before_it() -> None:
    vocabulary = Vocabulary.from_tokens([None, b"a", b"b", b"ab", b"ba"], [0])
    speller = Speller(vocabulary)
    assert speller.after(b"ab", b"ab") == (3,)
    assert speller.after(b"ab", b"a") == (1,)
    # "aba" would be spelled "ab" "a": its second token begins before the text.
    assert speller.after(b"a", b"ba") == (4,)


class Odd:
    """A tokenizer that writes everything small, or puts a blank before it."""

    def __init__(self, blank: str) -> None:
        self.blank = blank

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": VOCABULARY.encode((self.blank + text.lower()).encode())}


VOCABULARY = Vocabulary.from_tokens([None, b"a", b"b", b"A", b" a", b" ", b"ab", b"\xc3"], [0])


def test_what_a_tokenizer_changes_is_spelled_by_the_longest_tokens() -> None:
    spell = spell_as(Odd(""), VOCABULARY)
    assert spell(b"ab") == [6]
    assert spell(b"Ab") == [3, 2]
    assert spell(b"\xc3") == [7]


def test_the_blank_before_a_text_is_taken_off() -> None:
    assert spell_as(Odd(" "), VOCABULARY)(b"ab") == [1, 2]
    assert spell_as(Odd(" "), VOCABULARY)(b"b") == [2]
