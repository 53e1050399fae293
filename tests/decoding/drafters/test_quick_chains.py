"""A small Llama that a kernel draws from guesses what the framework would have it guess."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import guided
from guided.controls import GrammarMask, Temperature
from guided.decoding import Branch, Decoder, Fixed, Greedy, Plain, Sampler, Speculation
from guided.decoding.drafters import DraftModel, Request
from guided.decoding.network import Network
from guided.grammars.regex import regex
from guided.grammars.vocabulary import Vocabulary

WORDS = 30
VOCABULARY = Vocabulary([bytes([97 + at % 26]) * (1 + at // 26) for at in range(WORDS)], {0})
PROMPTS = [[3, 4, 5], [7], [3, 4, 5, 6, 2, 9, 9], [3, 4, 8]]


def llama(seed: int, width: int = 16) -> Any:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=WORDS, hidden_size=width, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=128,
        initializer_range=0.6,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def large() -> Network:
    return Network(llama(1, width=32), WORDS)


def other() -> Network:
    """Like the large one but for some noise, so that it is right often, not always."""
    model = llama(1, width=32)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.03 * weight.abs().mean() * torch.randn_like(weight)
    return Network(model, WORDS)


def grown(
    large: Network, sampler: Sampler, speculation: Speculation | None, tokens: int = 40
) -> tuple[Decoder, list[Branch]]:
    decoder = Decoder(large, VOCABULARY, sampler, speculation=speculation)
    controls = [[Temperature(0.8)]] * len(PROMPTS)
    branches = decoder.open(PROMPTS, controls, seed=5, max_new_tokens=tokens)
    decoder.extend(branches)
    return decoder, branches


@pytest.mark.parametrize("sampler", [Greedy(), Plain()], ids=["greedy", "sampled"])
def test_the_very_same_model_is_always_right(large: Network, sampler: Sampler) -> None:
    drafter = DraftModel(large, VOCABULARY)
    _, plain = grown(large, sampler, None)
    decoder, branches = grown(large, sampler, Speculation([drafter], policy=Fixed(5)))
    assert [b.tokens for b in branches] == [b.tokens for b in plain]
    # What is drafted beyond the end of a text is all that does not come true.
    wrong = decoder.usage.drafted - decoder.usage.accepted
    assert 0 <= wrong <= 5 * len(branches) < decoder.usage.accepted
    assert sum(b.passes for b in branches) < 0.5 * sum(b.passes for b in plain)
    # None of it took a pass of the framework.
    assert drafter.usage.passes == 0
    assert drafter.passes > 0


@pytest.mark.parametrize("sampler", [Greedy(), Plain()], ids=["greedy", "sampled"])
def test_drafts_are_those_that_the_framework_gives(large: Network, sampler: Sampler) -> None:
    small = other()
    quick, slow = (DraftModel(small, VOCABULARY, longest=6) for _ in range(2))
    slow._quick = None
    assert quick._quick is not None
    _, branches = grown(large, sampler, None, tokens=1)
    for branch in branches:
        branch.limit = None
    growing = [branch for branch in branches if branch.finish_reason in (None, "length")]
    for _ in range(12):
        room = [6, 3, 6, 0][: len(growing)]
        found = [each.propose(Request(growing, room, sampler)) for each in (quick, slow)]
        for one, another, most in zip(*found, room, strict=True):
            assert len(one) <= most
            common = min(len(one), len(another))
            assert one.tokens[:common] == another.tokens[:common]
            assert one.is_chain
        assert any(len(draft) for draft in found[0])
        # Some go on as was guessed, others with something else, by one token or several.
        for at, (branch, draft) in enumerate(zip(growing, found[0], strict=True)):
            said = [*draft.tokens[: at + 1], 11 + at]
            branch.tokens.extend(said)


def test_forks_are_read_from_where_they_part(large: Network) -> None:
    drafter = DraftModel(large, VOCABULARY)
    quick = drafter._quick
    assert quick is not None
    decoder = Decoder(large, VOCABULARY, Plain(), speculation=Speculation([drafter]))
    (parent,) = decoder.open([[3] * 50], [[]], seed=1)
    quick.drafts(Request([parent], [0], Plain()), [1])
    read = quick.positions
    assert read >= 50
    children = decoder.fork(parent, 3)
    drafts = quick.drafts(Request(children, [2] * 3, Plain()), [2] * 3)
    assert quick.positions - read < 20
    assert len({tuple(draft.tokens) for draft in drafts}) > 1


def test_what_is_finished_or_gone_is_forgotten(large: Network) -> None:
    drafter = DraftModel(large, VOCABULARY)
    quick = drafter._quick
    assert quick is not None
    _, branches = grown(large, Plain(), Speculation([drafter], policy=Fixed(3)))
    assert all(branch.finish_reason is not None for branch in branches)
    assert len(quick._rows) == 0
    decoder = Decoder(large, VOCABULARY, Plain())
    many = decoder.open([[3, at % 20 + 1, at // 20 + 1] for at in range(100)], None)
    quick.drafts(Request(many, [1] * 100, Plain()), [1] * 100)
    assert 0 < len(quick._rows) <= 64
    del many, branches
    gc.collect()
    assert len(quick._rows) == 0


def asked(controls: Sequence[Any], sampler: Sampler, keeps: bool, large: Network) -> bool:
    drafter = DraftModel(large, VOCABULARY)
    decoder = Decoder(large, VOCABULARY, Plain())
    (branch,) = decoder.open([[3, 4]], [list(controls)])
    drafter.propose(Request([branch], [4], sampler, keeps_laws=keeps))
    assert drafter._quick is not None
    is_quick = drafter._quick.positions > 0
    assert is_quick == (drafter.usage.passes == 0)
    return is_quick


def test_more_than_a_temperature_is_left_to_the_framework(large: Network) -> None:
    assert asked([], Plain(), False, large)
    assert asked([Temperature(0.5)], Greedy(), False, large)
    assert not asked([GrammarMask(regex("[a-z]{4,9}"))], Plain(), False, large)
    assert not asked([guided.controls.TopK(3)], Plain(), False, large)
    assert not asked([], Plain(), True, large)


def test_tokens_that_only_the_large_model_has_do_no_harm(large: Network) -> None:
    drafter = DraftModel(large, VOCABULARY)
    quick = drafter._quick
    assert quick is not None
    quick.network.readable = 5
    _, plain = grown(large, Plain(), None)
    _, branches = grown(large, Plain(), Speculation([drafter], policy=Fixed(4)))
    assert [b.tokens for b in branches] == [b.tokens for b in plain]
