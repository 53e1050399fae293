"""A small Llama in a kernel says what the framework's says, and draws what its law says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from guided.decoding.drafters.small_llama import SmallLlama
from guided.decoding.network import Network

WORDS = 40
NO_STOPS = np.empty(0, np.int64)


def llama(**given: Any) -> Any:
    torch.manual_seed(3)
    shape: dict[str, Any] = {
        "vocab_size": WORDS, "hidden_size": 20, "intermediate_size": 26, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
        "max_position_embeddings": 64, "initializer_range": 0.5,
    }  # fmt: skip
    return LlamaForCausalLM(LlamaConfig(**{**shape, **given})).eval()


@pytest.fixture(scope="module")
def model() -> Any:
    return llama()


@pytest.fixture(scope="module")
def small(model: Any) -> SmallLlama:
    found = SmallLlama.of(Network(model, WORDS), WORDS)
    assert found is not None
    return found


@torch.no_grad()
def after(model: Any, text: list[int]) -> torch.Tensor:
    logits: torch.Tensor = model(torch.tensor([text])).logits[0, -1]
    return logits


@pytest.mark.parametrize("length", [1, 2, 9, 30])
def test_logits_are_those_of_the_framework(model: Any, small: SmallLlama, length: int) -> None:
    text = np.random.default_rng(length).integers(0, WORDS, length)
    found, wanted = small.logits(text), after(model, text.tolist()).numpy()
    assert np.abs(found - wanted).max() < 1e-4 * np.ptp(wanted)


def test_a_tied_head_and_as_many_key_heads_are_read_too() -> None:
    other = llama(tie_word_embeddings=True, num_key_value_heads=4)
    found = SmallLlama.of(Network(other, WORDS), WORDS - 3)
    text = np.arange(7)
    assert found is not None
    wanted = after(other, text.tolist())[: WORDS - 3].numpy()
    assert np.abs(found.logits(text) - wanted).max() < 1e-4 * np.ptp(wanted)


@pytest.mark.parametrize("temperature", [0.7, 1.3])
def test_tokens_are_drawn_by_inversion_of_the_law(
    model: Any, small: SmallLlama, temperature: float
) -> None:
    random = np.random.default_rng(1)
    text = random.integers(0, WORDS, 11)
    numbers = random.random(12)
    cache = small.cache(64)
    tokens, chances = small.guess(text, 0, cache, temperature, numbers, NO_STOPS, 0.0)
    said = text.tolist()
    for number in numbers:
        law = (after(model, said).double() / temperature).softmax(-1).cumsum(-1)
        said.append(int(torch.searchsorted(law, torch.tensor(number), right=True)))
    assert tokens.tolist() == said[len(text) :]
    assert ((chances > 0) & (chances <= 1)).all()


def test_a_number_in_the_middle_of_its_interval_is_safer_than_one_at_its_end(
    small: SmallLlama,
) -> None:
    text = np.array([5, 7, 9])
    weights = np.exp(np.float64(small.logits(text)))
    ends = np.cumsum(weights) / weights.sum()
    token = int(np.argmax(weights))
    begin = ends[token - 1] if token else 0.0
    found = {}
    for share in (0.02, 0.5, 0.98):
        number = np.array([begin + share * (ends[token] - begin)])
        tokens, chances = small.guess(text, 0, small.cache(8), 1.0, number, NO_STOPS, 0.0)
        assert tokens.tolist() == [token]
        found[share] = chances[0]
    assert found[0.5] > max(found[0.02], found[0.98])


def test_at_temperature_0_the_likeliest_come_with_their_probabilities(
    model: Any, small: SmallLlama
) -> None:
    text = np.array([1, 2, 3])
    tokens, chances = small.guess(text, 0, small.cache(16), 0.0, np.zeros(5), NO_STOPS, 0.0)
    said = text.tolist()
    for token, chance in zip(tokens.tolist(), chances.tolist(), strict=True):
        law = after(model, said).softmax(-1)
        assert token == int(law.argmax())
        assert chance == pytest.approx(float(law.max()), rel=1e-3)
        said.append(token)


def test_what_is_in_the_cache_is_not_read_again(small: SmallLlama) -> None:
    text, numbers = np.arange(12), np.array([0.3, 0.8, 0.1])
    cache = small.cache(32)
    whole, _ = small.guess(text, 0, cache, 1.0, numbers, NO_STOPS, 0.0)
    for read in (11, 6, 1):
        # What is read once more would spoil nothing; what is wrong there does, if it is used.
        wrong = text.copy()
        wrong[:read] = 39
        again, _ = small.guess(wrong, read, cache, 1.0, numbers, NO_STOPS, 0.0)
        assert again.tolist() == whole.tolist()
        cache = small.cache(32)
        small.guess(text, 0, cache, 1.0, numbers, NO_STOPS, 0.0)


def test_a_chain_ends_before_a_stop_token_and_where_it_is_likely_wrong(small: SmallLlama) -> None:
    text, numbers = np.arange(5), np.full(8, 0.4)
    tokens, chances = small.guess(text, 0, small.cache(16), 1.0, numbers, NO_STOPS, 0.0)
    stop = int(tokens[3])
    first = tokens.tolist().index(stop)
    cut, _ = small.guess(text, 0, small.cache(16), 1.0, numbers, np.array([stop]), 0.0)
    assert cut.tolist() == tokens[:first].tolist()
    least = float(np.prod(chances[:3])) * 1.000001
    short, _ = small.guess(text, 0, small.cache(16), 1.0, numbers, NO_STOPS, least)
    assert short.tolist() == tokens[:3].tolist()


def test_texts_may_be_longer_than_angles_were_made_for(model: Any, small: SmallLlama) -> None:
    text = np.random.default_rng(0).integers(0, WORDS, 1500)
    wanted = after(model, text.tolist()).numpy()
    assert np.abs(small.logits(text) - wanted).max() < 1e-3 * np.ptp(wanted)


@pytest.mark.parametrize(
    "given",
    [
        {"attention_bias": True},
        {"mlp_bias": True},
        {"hidden_act": "gelu"},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
        {"hidden_size": 800, "intermediate_size": 800},
    ],
)
def test_other_networks_are_left_to_the_framework(given: dict[str, Any]) -> None:
    assert SmallLlama.of(Network(llama(**given), WORDS), WORDS) is None


def test_double_precision_and_hooked_layers_are_left_to_the_framework(model: Any) -> None:
    assert SmallLlama.of(Network(llama().double(), WORDS), WORDS) is None
    changed = llama()
    changed.model.layers[1].mlp.register_forward_hook(lambda _, given, made: made * 3)
    assert SmallLlama.of(Network(changed, WORDS), WORDS) is None
