"""A limit of keys and values: evicted branches are read again, nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import guided
from guided.controls import BanTokens
from guided.decoding import Decoder, Network
from guided.errors import InputError, OutOfMemoryError
from guided.testing import fake_model, table_model
from tests.decoding.drafting import LETTERS, grown, texts

PROMPTS = [[1 + (i * k) % 39 for i in range(70)] for k in range(1, 7)]


def in_turns(decoder: Decoder) -> list[Any]:
    """Branches that are opened and grown one after the other, and then all again."""
    branches = [
        decoder.open([p], seed=2, max_new_tokens=9, rows=[r])[0] for r, p in enumerate(PROMPTS)
    ]
    for stop in (3, 6, 9):
        for branch in branches:
            decoder.extend([branch], until=lambda b, stop=stop: len(b.tokens) >= stop)
    return branches


def test_evicted_branches_are_read_again_and_draw_the_same(network: Network) -> None:
    free = Decoder(network, LETTERS)
    wanted = in_turns(free)
    limit = 4 * 128 * network.bytes_per_token
    tight = Decoder(network, LETTERS, kv_limit=limit)
    assert texts(in_turns(tight)) == texts(wanted)
    assert tight.usage.passes > free.usage.passes
    assert tight.usage.kv_bytes_peak <= limit < free.usage.kv_bytes_peak


def test_rows_beyond_the_limit_wait_for_the_others(network: Network) -> None:
    wanted = grown(Decoder(network, LETTERS), PROMPTS, seed=2, max_new_tokens=90)
    limit = 4 * 192 * network.bytes_per_token
    decoder = Decoder(network, LETTERS, kv_limit=limit)
    branches = [
        decoder.open([p], seed=2, max_new_tokens=90, rows=[r])[0] for r, p in enumerate(PROMPTS)
    ]
    decoder.extend(branches)
    assert texts(branches) == texts(wanted)
    assert decoder.usage.passes > 90


def test_a_limit_below_the_prompt_is_refused_before_any_pass(network: Network) -> None:
    decoder = Decoder(network, LETTERS, kv_limit=50 * network.bytes_per_token)
    with pytest.raises(InputError, match=r"a prompt of 70 tokens needs .* limit is"):
        decoder.open(PROMPTS[:1])
    assert decoder.usage.passes == 0


def test_generate_decodes_fewer_rows_at_a_time() -> None:
    model = fake_model("abcdefgh")
    prompts = ["Say it. " * 9 + str(i) for i in range(6)]
    wanted = guided.generate(model, prompts, regex="[a-z]{8}")
    per_token = model.network.bytes_per_token
    assert guided.generate(model, prompts, regex="[a-z]{8}", kv_limit=300 * per_token) == wanted
    with pytest.raises(InputError, match="kv_limit"):
        guided.generate(model, prompts, regex="[a-z]{8}", kv_limit=10 * per_token)
    with pytest.raises(InputError, match="kv_limit"):
        guided.generate(model, prompts, kv_limit=0)


class Full:
    """A model that runs out of memory in one of its passes."""

    def __init__(self, model: Any, passes: int) -> None:
        self.model, self.left = model, passes

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.model(*args, **kwargs)


def test_what_there_is_comes_back_when_memory_runs_out() -> None:
    model = table_model(4, horizon=40)
    options: dict[str, Any] = {
        "controls": [[BanTokens([0])]] * 2, "seed": 1, "max_new_tokens": 20,
    }  # fmt: skip
    wanted = grown(Decoder(model.network, model.vocabulary), [[1], [2]], **options)
    inner = model.network.model.forward
    full = Full(inner, passes=5)
    decoder = Decoder(model.network, model.vocabulary)
    branches = decoder.open([[1], [2]], **options)
    model.network.model.forward = full
    decoder.extend(branches)
    for branch, other in zip(branches, wanted, strict=True):
        assert branch.finish_reason == "memory"
        assert branch.tokens == other.tokens[:6]
    assert decoder.ledger.held == 0


def test_generate_raises_and_run_returns_when_memory_runs_out() -> None:
    model = fake_model("abcdefgh" * 4)
    guided.run(model, "Warm ", regex="[a-z]{32}")
    inner = model.network.model.forward
    model.network.model.forward = Full(inner, passes=6)
    result = guided.run(model, "Say: ", regex="[a-z]{32}", draft=None)
    assert (result.finish_reason, result.value) == ("memory", None)
    assert result.text == "abcdef"
    model.network.model.forward = Full(inner, passes=6)
    with pytest.raises(OutOfMemoryError, match="batch_size"):
        guided.generate(model, "Say: ", regex="[a-z]{32}", draft=None)
