"""The n-gram drafter draws from laws that the model had after the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from guided.controls import BanTokens, GrammarMask, Temperature
from guided.decoding import Branch, Greedy, Plain
from guided.decoding.drafters.ngram import LogitNgram
from guided.decoding.drafters.protocol import Observation
from guided.errors import InputError
from guided.grammars.choices import choices
from guided.testing import check_drafter_laws, table_model

WIDTH = 8
MODEL = table_model(WIDTH)


def shown(branch: Branch, tokens: Sequence[int], logits: torch.Tensor) -> Observation:
    """Adds tokens to the branch as if they had been drawn from `logits`."""
    said = [*branch.prompt, *branch.tokens, *tokens]
    before = said[-len(tokens) - 1 : -1]
    for token, row in zip(tokens, logits, strict=True):
        branch.push(token, float(row.double().log_softmax(-1)[token]), 0.0, frozenset())
    return Observation(branch, tokens, before, logits)


def laws_for(tokens: Sequence[int]) -> torch.Tensor:
    """Logits under which each of the tokens is the likeliest."""
    logits = torch.randn(len(tokens), WIDTH, generator=torch.Generator().manual_seed(1))
    logits[range(len(tokens)), tokens] += 6
    return logits


def test_what_was_said_once_is_said_again(opened: Any, ask: Any) -> None:
    drafter = LogitNgram(MODEL.vocabulary)
    branch, tokens = opened(MODEL, [1]), [2, 3, 4, 5]
    drafter.observe([shown(branch, tokens, laws_for(tokens))])
    other = opened(MODEL, [6], [2])
    assert ask(drafter, other, room=3).tokens == [3, 4, 5]
    assert len(ask(drafter, opened(MODEL, [7]))) == 0


def test_longer_contexts_count_more(opened: Any, ask: Any) -> None:
    drafter = LogitNgram(MODEL.vocabulary)
    for tokens in ([1, 2, 3], [4, 2, 5]):
        drafter.observe([shown(opened(MODEL, [6]), tokens, laws_for(tokens))])
    assert ask(drafter, opened(MODEL, [7], [1, 2]), room=1).tokens == [3]
    assert ask(drafter, opened(MODEL, [7], [4, 2]), room=1).tokens == [5]


def test_the_law_is_the_mean_of_what_was_seen_under_the_controls(opened: Any, ask: Any) -> None:
    drafter = LogitNgram(MODEL.vocabulary, k=WIDTH)
    one, two = torch.randn(2, 1, WIDTH, generator=torch.Generator().manual_seed(2))
    for logits in (one, two):
        drafter.observe([shown(opened(MODEL, [3]), [2], logits)])
    controls = [Temperature(0.5), BanTokens([0, 5])]
    branch = opened(MODEL, [3], controls=controls)
    draft = ask(drafter, branch, room=1, sampler=Plain(), keeps_laws=True)
    mean = (one.softmax(-1) + two.softmax(-1)) / 2
    expected = mean.log() / 0.5
    expected[:, [0, 5]] = -torch.inf
    assert draft.laws is not None
    assert torch.allclose(draft.laws.exp(), expected.softmax(-1), atol=1e-6)


def test_only_the_greatest_of_a_law_are_kept(opened: Any, ask: Any) -> None:
    drafter = LogitNgram(MODEL.vocabulary, k=2)
    drafter.observe([shown(opened(MODEL, [3]), [2], torch.arange(float(WIDTH))[None])])
    draft = ask(drafter, opened(MODEL, [3]), 1, Plain(), keeps_laws=True)
    assert draft.laws is not None
    expected = torch.full((WIDTH,), -torch.inf)
    expected[6:] = torch.tensor([6.0, 7.0])
    assert torch.allclose(draft.laws[0], expected.log_softmax(-1))


def test_equal_laws_give_the_token_that_the_decoder_draws(opened: Any, ask: Any) -> None:
    drafter = LogitNgram(MODEL.vocabulary, k=WIDTH)
    logits = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(4))
    logits[0, 0] = -20.0
    drafter.observe([shown(opened(MODEL, [3]), [2], logits)])
    for row in range(20):
        branch = opened(MODEL, [3], row=row)
        drawn, _ = Plain().draw(logits, [branch.stream])
        assert ask(drafter, branch, 1, Plain()).tokens == drawn.tolist()


def test_a_greedy_chain_has_the_laws_of_choosing(opened: Any, ask: Any) -> None:
    drafter = LogitNgram(MODEL.vocabulary)
    drafter.observe([shown(opened(MODEL, [3]), [2], laws_for([2]))])
    draft = ask(drafter, opened(MODEL, [3]), 1, Greedy(), keeps_laws=True)
    assert draft.laws is not None
    assert draft.laws.exp().sum() == draft.laws[0, 2].exp() == 1


def test_drafts_stay_inside_of_the_grammar(opened: Any, ask: Any) -> None:
    model = table_model(tokens=[b"a", b"b", b"c"])
    drafter = LogitNgram(model.vocabulary)
    branch = opened(model, [1])
    for token in (1, 2, 3):
        logits = torch.randn(1, 4, generator=torch.Generator().manual_seed(token))
        drafter.observe([shown(branch, [token], logits)])
    grammar = choices(["abca", "abcb", "bbbb"])
    for row in range(10):
        branch = opened(model, [3], controls=[GrammarMask(grammar)], row=row)
        tokens = ask(drafter, branch, 4, Plain()).tokens
        assert grammar.start(model.vocabulary).accept_many(tokens) == len(tokens)


def test_memory_is_bounded_and_the_oldest_goes_first(opened: Any, ask: Any) -> None:
    drafter = LogitNgram(MODEL.vocabulary, n_max=1, k=2, capacity=3)
    size = drafter.n_bytes
    for before, token in ((1, 2), (2, 3), (3, 4), (4, 5)):
        drafter.observe([shown(opened(MODEL, [before]), [token], laws_for([token]))])
    assert drafter.n_bytes == size
    assert len(ask(drafter, opened(MODEL, [1]))) == 0
    assert ask(drafter, opened(MODEL, [4]), room=1).tokens == [5]


def test_drafts_are_well_formed_and_repeatable(opened: Any) -> None:
    drafter = LogitNgram(MODEL.vocabulary)
    tokens = [1, 2, 3, 1, 2, 4, 1, 2, 3, 5]
    drafter.observe([shown(opened(MODEL, [6]), tokens, laws_for(tokens))])
    branches = [opened(MODEL, [6], [1]), opened(MODEL, [7]), opened(MODEL, [6], [1, 2, 3])]
    check_drafter_laws(drafter, branches, WIDTH)


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="n_max=5"):
        LogitNgram(MODEL.vocabulary, n_max=5)
    with pytest.raises(InputError, match="capacity=0"):
        LogitNgram(MODEL.vocabulary, capacity=0)
