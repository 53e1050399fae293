"""A draft model draws what it would say itself, and keeps nothing that was not said."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from guided.controls import GrammarMask, Temperature
from guided.decoding import Branch, Decoder, Greedy, Network, Plain
from guided.decoding.drafters.draft_model import DraftModel
from guided.decoding.drafters.protocol import Observation, Request
from guided.decoding.drafts import ROOT, Draft
from guided.errors import InputError
from guided.grammars.regex import regex
from guided.grammars.vocabulary import Vocabulary
from guided.model import Model
from guided.testing import check_drafter_laws, tiny_model

MODEL = tiny_model()
WIDTH = MODEL.vocabulary.size
PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13]]


def llama(width: int, positions: int = 2048) -> LlamaForCausalLM:
    torch.manual_seed(2)
    config = LlamaConfig(
        vocab_size=width, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, eos_token_id=0, pad_token_id=0,
        max_position_embeddings=positions, initializer_range=0.5,
    )  # fmt: skip
    return LlamaForCausalLM(config).double()


def opened_all(prompts: list[list[int]] = PROMPTS, **options: Any) -> tuple[Decoder, list[Branch]]:
    decoder = Decoder(MODEL.network, MODEL.vocabulary, Plain())
    return decoder, decoder.open(prompts, seed=3, max_new_tokens=40, **options)


def drafts(drafter: DraftModel, branches: list[Branch], room: int = 6, **more: Any) -> list[Any]:
    return drafter.propose(Request(branches, [room] * len(branches), Plain(), **more))


def test_the_same_model_drafts_what_will_be_drawn() -> None:
    drafter = DraftModel(MODEL, MODEL.vocabulary, least=0.0)
    decoder, branches = opened_all()
    for _ in range(3):
        guesses = drafts(drafter, branches)
        before = [len(branch.tokens) for branch in branches]
        decoder.extend(branches, until=lambda branch: len(branch.tokens) % 6 == 0)
        for branch, guess, begin in zip(branches, guesses, before, strict=True):
            assert guess.tokens == branch.tokens[begin : begin + len(guess)]
            assert len(guess) > 0


def test_wrong_guesses_are_forgotten(push: Any) -> None:
    drafter = DraftModel(MODEL, MODEL.vocabulary, least=0.0)
    _, branches = opened_all()
    for step in range(3):
        drafts(drafter, branches)
        for row, branch in enumerate(branches):
            push(branch, [20 + step + row] * (1 + row))
        fresh = DraftModel(MODEL, MODEL.vocabulary, least=0.0)
        assert [d.tokens for d in drafts(drafter, branches)] == [
            d.tokens for d in drafts(fresh, branches)
        ]


def test_branches_come_and_go(push: Any) -> None:
    drafter = DraftModel(MODEL, MODEL.vocabulary, least=0.0)
    _, (first, second, third) = opened_all()
    drafts(drafter, [first, second])
    push(second, [30])
    drafts(drafter, [third, first])
    push(first, [31, 32])
    fresh = DraftModel(MODEL, MODEL.vocabulary, least=0.0)
    for some in ([second, first], [first, third, second]):
        assert [d.tokens for d in drafts(drafter, some)] == [d.tokens for d in drafts(fresh, some)]


def test_branches_of_one_prompt_read_it_once() -> None:
    drafter = DraftModel(MODEL, MODEL.vocabulary, longest=1)
    _, branches = opened_all([[5, 6, 7, 8]] * 4)
    drafts(drafter, branches)
    # The prompt without its last token, then the last token of every row.
    assert drafter.usage.positions == 3 + 4


def test_a_fork_goes_on_from_what_was_read(push: Any) -> None:
    drafter = DraftModel(MODEL, MODEL.vocabulary, least=0.0)
    _, (branch, *_) = opened_all()
    push(branch, [20, 21])
    drafts(drafter, [branch])
    child = branch.fork(17)
    drafter.fork(branch, child)
    positions = drafter.usage.positions
    push(child, [22])
    push(branch, [23, 24])
    both = drafts(drafter, [branch, child], room=1)
    assert drafter.usage.positions == positions + 2 + 3
    fresh = DraftModel(MODEL, MODEL.vocabulary, least=0.0)
    assert [d.tokens for d in both] == [d.tokens for d in drafts(fresh, [branch, child], room=1)]


def test_after_many_tokens_without_it_the_model_catches_up(push: Any) -> None:
    drafter = DraftModel(MODEL, MODEL.vocabulary, least=0.0)
    _, branches = opened_all()
    drafts(drafter, branches)
    push(branches[0], [7 + i % 30 for i in range(38)])
    push(branches[1], [9])
    fresh = DraftModel(MODEL, MODEL.vocabulary, least=0.0)
    assert [d.tokens for d in drafts(drafter, branches)] == [
        d.tokens for d in drafts(fresh, branches)
    ]


def test_the_laws_are_those_under_the_controls() -> None:
    drafter = DraftModel(MODEL, MODEL.vocabulary, least=0.0)
    mask = GrammarMask(regex("[a-z]{30}"))
    _, branches = opened_all(controls=[[Temperature(0.7), mask]] * 3)
    for branch, draft in zip(branches, drafts(drafter, branches, keeps_laws=True), strict=True):
        assert draft.laws is not None
        assert torch.allclose(draft.laws[0], branch.law(), atol=1e-9)
        assert branch.states[1].grammar.accept_many(draft.tokens) == len(draft)


def test_an_unsure_chain_is_short() -> None:
    _, branches = opened_all()
    lengths = [
        sum(map(len, drafts(DraftModel(MODEL, MODEL.vocabulary, least=least), branches)))
        for least in (0.0, 0.01, 0.9)
    ]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[2] == 3 < lengths[0]


def test_drafts_are_well_formed_and_repeatable(push: Any) -> None:
    _, branches = opened_all()
    push(branches[1], [20, 21, 22])
    check_drafter_laws(DraftModel(MODEL, MODEL.vocabulary, least=0.0), branches, WIDTH)


def test_a_full_context_ends_the_draft(push: Any) -> None:
    small = Model(llama(WIDTH, positions=10), vocabulary=MODEL.vocabulary)
    drafter = DraftModel(small, MODEL.vocabulary, least=0.0)
    _, (branch, *_) = opened_all()
    assert len(drafts(drafter, [branch], room=20)[0]) <= 7
    push(branch, range(20, 27))
    assert len(drafts(drafter, [branch])[0]) == 0


def test_memory_is_given_back_with_the_branches(push: Any) -> None:
    drafter = DraftModel(MODEL, MODEL.vocabulary)
    _, branches = opened_all()
    drafts(drafter, branches)
    branches[0].finish("closed")
    gone = weakref.ref(branches.pop())
    drafts(drafter, branches[1:])
    assert gone() is None
    assert len(drafter._rows) == len(drafter._stage) == 1


def test_columns_without_tokens_make_no_difference(ask: Any) -> None:
    tokens = MODEL.vocabulary.tokens
    wide = Vocabulary.from_tokens([*tokens, None, None], [0])
    _, (branch, *_) = opened_all()
    drafter = DraftModel(Model(llama(WIDTH + 2), vocabulary=wide), MODEL.vocabulary)
    draft = ask(drafter, branch, 4, Plain(), keeps_laws=True)
    assert draft.laws.shape[1] == WIDTH
    narrow = Model(llama(WIDTH), vocabulary=MODEL.vocabulary)
    decoder = Decoder(Network(llama(WIDTH + 2), WIDTH + 2), wide)
    (branch,) = decoder.open([[5, 6]])
    draft = ask(DraftModel(narrow, wide), branch, 4, Plain(), keeps_laws=True)
    assert draft.laws.shape[1] == WIDTH + 2


def test_another_vocabulary_is_refused_by_what_differs() -> None:
    other = list(MODEL.vocabulary.tokens)
    other[20], other[21] = other[21], other[20]
    model = Model(llama(WIDTH), vocabulary=Vocabulary.from_tokens(other, [0]))
    with pytest.raises(InputError, match=r"token 20 is b'.' there and b'.' here; token 21"):
        DraftModel(model, MODEL.vocabulary)
    longer = Vocabulary.from_tokens([*MODEL.vocabulary.tokens, b"xyz"], [0])
    model = Model(llama(WIDTH + 1), vocabulary=longer)
    with pytest.raises(InputError, match=rf"token {WIDTH} \(b'xyz'\) is only there"):
        DraftModel(model, MODEL.vocabulary)
    with pytest.raises(InputError, match=rf"{WIDTH + 1} columns"):
        DraftModel(Network(llama(WIDTH + 1), WIDTH + 1), MODEL.vocabulary)


def test_a_model_that_cannot_take_tokens_back_is_refused() -> None:
    network = Network(llama(WIDTH), WIDTH)
    network.has_cache = False
    with pytest.raises(InputError, match="cannot take tokens back"):
        DraftModel(network, MODEL.vocabulary)


def test_greedy_chains_are_the_likeliest_tokens(ask: Any) -> None:
    decoder, (branch, *_) = opened_all()
    draft = ask(DraftModel(MODEL, MODEL.vocabulary, least=0.0), branch, 5, Greedy())
    decoder.sampler = Greedy()
    decoder.extend([branch], until=lambda b: len(b.tokens) >= 5)
    assert draft.tokens == branch.tokens[: len(draft)]


def test_guesses_of_others_save_passes_and_change_no_token() -> None:
    _, branches = opened_all()
    alone = DraftModel(MODEL, MODEL.vocabulary, least=0.0)
    wanted = drafts(alone, branches)
    guesses = []
    for row, draft in enumerate(wanted):
        # Right for some tokens, with wrong ones beside them and after them.
        right = draft.tokens[: 2 + row]
        tree = Draft.chain(right, 0.9, "other")
        tree.add((right[0] + 1) % WIDTH, ROOT, 0.3, "other")
        tree.add((draft.tokens[len(right)] + 1) % WIDTH, len(right) - 1, 0.8, "other")
        guesses.append(tree)
    helped = DraftModel(MODEL, MODEL.vocabulary, least=0.0)
    for _ in range(2):  # the second time from what the first has left in the cache
        before = helped.passes
        found = drafts(helped, branches, guesses=guesses)
        assert [draft.tokens for draft in found] == [draft.tokens for draft in wanted]
        for one, other in zip(found, wanted, strict=True):
            assert one.chances == pytest.approx(other.chances)
    drafts(alone, branches)
    again = alone.passes
    drafts(alone, branches)
    assert helped.passes - before < alone.passes - again


def test_a_model_that_promises_too_much_is_trusted_less(push: Any) -> None:
    drafter = DraftModel(MODEL, MODEL.vocabulary, least=0.5)
    _, (branch, *_) = opened_all()
    promised = 0.0
    for _ in range(12):
        (draft,) = drafts(drafter, [branch])
        promised += draft.chances[0] / drafter._trust.share()
        push(branch, [(draft.tokens[0] + 1) % (WIDTH - 1) + 1])
        drafter.observe([Observation(branch, branch.tokens[-1:], [1], torch.empty(0))])
    # None was right; eight that were are assumed before.
    assert drafter._trust.share() == pytest.approx(8 / (8 + promised))
    assert DraftModel(MODEL, MODEL.vocabulary)._trust.share() == 1.0


@pytest.mark.parametrize(
    ("pass_seconds", "least"), [(None, 0.3), (0.01, 0.95), (1.0, 0.1 / 0.6), (100.0, 0.05)]
)
def test_a_chain_goes_on_while_its_passes_cost_less_than_they_save(
    pass_seconds: float | None, least: float
) -> None:
    drafter = DraftModel(MODEL, MODEL.vocabulary)
    assert drafter._least(1.0) == 0.3  # before its own passes were timed
    drafter._seconds.add(0.1)
    assert drafter._least(pass_seconds) == pytest.approx(least)
    assert DraftModel(MODEL, MODEL.vocabulary, least=0.7)._least(pass_seconds) == 0.7


def test_rows_of_finished_branches_are_dropped_at_once() -> None:
    drafter = DraftModel(MODEL, MODEL.vocabulary)
    _, branches = opened_all()
    drafts(drafter, branches)
    branches[1].finish("closed")
    drafter.observe([Observation(branch, [], [], torch.empty(0)) for branch in branches])
    assert len(drafter._rows) == len(drafter._stage) == 2
