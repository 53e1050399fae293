"""The table model is a language model whose law can be enumerated."""

from __future__ import annotations

import math

import pytest
import torch

from guided.controls import GrammarMask, Temperature
from guided.testing import WordGrammar, enumerate_sequences, table_model


@pytest.mark.parametrize("size", [2, 3, 6])
def test_probabilities_of_all_sequences_sum_to_one(size: int) -> None:
    law = enumerate_sequences(table_model(size), [1], max_new_tokens=4)
    assert math.isclose(sum(law.values()), 1, rel_tol=1e-12)
    assert len(law) == sum((size - 1) ** k for k in range(4)) + (size - 1) ** 4


def test_another_seed_is_another_model() -> None:
    first = enumerate_sequences(table_model(3, seed=1), [1], max_new_tokens=2)
    second = enumerate_sequences(table_model(3, seed=2), [1], max_new_tokens=2)
    assert first != second


def test_the_horizon_ends_every_sequence() -> None:
    law = enumerate_sequences(table_model(3, horizon=3), [1], max_new_tokens=9)
    assert max(map(len, law)) == 3
    assert all(tokens[-1] == 0 for tokens in law)


def test_controls_change_the_enumerated_law() -> None:
    model = table_model(4)
    words = WordGrammar([b"ab", b"c"])
    law = enumerate_sequences(model, [1], [GrammarMask(words)], max_new_tokens=3)
    assert {model.decode(tokens) for tokens in law} == {"ab", "c"}
    assert math.isclose(sum(law.values()), 1, rel_tol=1e-12)
    cold = enumerate_sequences(model, [1], [GrammarMask(words), Temperature(0.1)], 3)
    assert max(cold.values()) > max(law.values())


def test_cached_and_uncached_passes_give_the_same_logits() -> None:
    network = table_model(5).network
    ids = torch.tensor([[1, 2, 3, 4]])
    whole = network.forward(ids, None, None, None).logits
    first = network.forward(ids[:, :2], None, None, None)
    second = network.forward(ids[:, 2:], None, torch.tensor([[2, 3]]), first.cache)
    assert torch.equal(whole, second.logits)


def test_a_wrong_position_gives_another_law() -> None:
    network = table_model(5).network
    first = network.forward(torch.tensor([[1, 2]]), None, None, None)
    right = network.forward(torch.tensor([[1, 2, 3]]), None, None, None).logits
    wrong = network.forward(torch.tensor([[3]]), None, torch.tensor([[7]]), first.cache)
    assert not torch.allclose(right, wrong.logits)


def test_left_padding_with_a_mask_changes_nothing() -> None:
    network = table_model(5).network
    plain = network.forward(torch.tensor([[1, 2]]), None, None, None).logits
    padded = network.forward(
        torch.tensor([[0, 0, 1, 2]]),
        torch.tensor([[0, 0, 1, 1]]),
        torch.tensor([[0, 0, 0, 1]]),
        None,
    )
    assert torch.equal(plain, padded.logits)


def test_a_tree_mask_shows_every_branch_its_own_prefix() -> None:
    network = table_model(5).network
    sees = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 1]], dtype=torch.bool)[None, None]
    positions = torch.tensor([[0, 1, 1]])
    tree = network.model(
        torch.tensor([[1, 2, 3]]), attention_mask=sees, position_ids=positions
    ).logits[0]
    for node, prefix in ((0, [1]), (1, [1, 2]), (2, [1, 3])):
        alone = network.forward(torch.tensor([prefix]), None, None, None).logits[0, -1]
        assert torch.equal(tree[node], alone)


def test_it_runs_in_plain_generate() -> None:
    model = table_model(4)
    out = model.hf_model.generate(torch.tensor([[1, 2]]), max_new_tokens=3, do_sample=False)
    assert out.shape[1] <= 5
