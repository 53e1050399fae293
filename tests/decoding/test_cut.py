"""A text whose end is drawn anew: its beginning is read behind the prompt that it shares."""

from __future__ import annotations

import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM

from guided.decoding import Branch, Decoder, Fixed, Network, Speculation
from tests.decoding.drafting import LETTERS, WIDTH, Guesser, texts

PROMPT = [1 + (i * 7) % 39 for i in range(70)]
LENGTH = 9
CUTS = [0, 1, 4, 8, 4]


def again(decoder: Decoder, cuts: list[int] = CUTS) -> tuple[list[Branch], list[Branch]]:
    """Whole texts, and those with new ends, each by a stream of its own."""
    (base,) = decoder.open([PROMPT], seed=5, max_new_tokens=LENGTH, rows=[1])
    whole = decoder.fork(base, len(cuts), rows=range(10, 10 + len(cuts)))
    decoder.extend(whole)
    cut = [
        decoder.cut(base, branch, min(at, len(branch.tokens) - 1), branch.states, 20 + number)
        for number, (branch, at) in enumerate(zip(whole, cuts, strict=True))
    ]
    decoder.extend(cut)
    return whole, cut


def by_reading_all(decoder: Decoder, whole: list[Branch], cuts: list[int] = CUTS) -> list[Branch]:
    """The same new ends, each after a pass over prompt and beginning."""
    branches = []
    for number, (branch, at) in enumerate(zip(whole, cuts, strict=True)):
        cut = branch.cut(min(at, len(branch.tokens) - 1), branch.states, 20 + number)
        decoder.extend([cut])
        branches.append(cut)
    return branches


def test_the_new_ends_are_those_that_reading_everything_gives(network: Network) -> None:
    decoder = Decoder(network, LETTERS)
    whole, cut = again(decoder)
    assert all(a.tokens != b.tokens for a, b in zip(whole, cut, strict=True))
    shared = decoder.usage.positions
    expected = by_reading_all(decoder, whole)
    assert texts(cut) == texts(expected)
    for branch, other in zip(cut, expected, strict=True):
        assert branch.log_p == pytest.approx(other.log_p, abs=1e-9)
    # The prompt was read once, not once for every text.
    assert shared < 2 * len(PROMPT) + 2 * LENGTH * len(CUTS)


def test_guesses_change_nothing(network: Network) -> None:
    plain, cut = again(Decoder(network, LETTERS))
    guesses = [Guesser(WIDTH, [*texts(plain), *texts(cut)])]
    decoder = Decoder(network, LETTERS, speculation=Speculation(guesses, policy=Fixed(9)))
    assert texts(again(decoder)[1]) == texts(cut)
    assert decoder.usage.accepted > 0


def test_evicted_prompts_are_read_again(network: Network) -> None:
    free = Decoder(network, LETTERS)
    wanted = texts(again(free)[1])
    decoder = Decoder(network, LETTERS, kv_limit=2 * 128 * network.bytes_per_token)
    assert texts(again(decoder)[1]) == wanted
    assert decoder.usage.passes > free.usage.passes


def test_models_whose_rows_grow_in_step_read_everything() -> None:
    torch.manual_seed(3)
    config = MambaConfig(
        vocab_size=WIDTH, hidden_size=32, num_hidden_layers=2, eos_token_id=0, pad_token_id=0
    )
    decoder = Decoder(Network(MambaForCausalLM(config).double().eval(), WIDTH), LETTERS)
    whole, cut = again(decoder, [4, 4, 4])
    assert texts(cut) == texts(by_reading_all(decoder, whole, [4, 4, 4]))
