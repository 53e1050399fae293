"""Decoding on CUDA: the laws of the CPU, and drafts that change only the number of passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from guided.controls import BanTokens, Temperature
from guided.decoding import Branch, Decoder, Fixed, Greedy, Network, Plain, Sampler, Speculation
from guided.decoding.gumbel import Gumbel
from guided.decoding.verifiers import Block, Chain
from guided.grammars.vocabulary import Vocabulary
from tests.decoding.drafting import Guesser, OwnLaw, grown, texts

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

DEVICE = "cuda"
WIDTH = 40
LETTERS = Vocabulary.from_tokens([None, *(bytes([65 + i]) for i in range(WIDTH - 1))], [0])
PROMPTS = [[5], [7, 8, 9, 10, 11, 12], [3, 4, 5], [2] * 9]
SAMPLERS: dict[str, type[Any]] = {"greedy": Greedy, "plain": Plain, "gumbel": Gumbel}
#: How far log-probabilities of two devices may be apart.
CLOSE = {torch.float64: 1e-9, torch.float32: 1e-3}


def network(device: str, dtype: torch.dtype, attention: str = "sdpa") -> Network:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=WIDTH, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    for parameter in model.parameters():
        # Far from uniform, so that a wrong mask shows.
        parameter.data *= 4
    model.set_attn_implementation(attention)
    return Network(model.to(device=device, dtype=dtype).eval(), WIDTH)


def decoded(net: Network, sampler: Sampler, speculation: Speculation | None = None) -> list[Branch]:
    controls = [[Temperature(0.8), BanTokens([3, 7])] for _ in PROMPTS]
    decoder = Decoder(net, LETTERS, sampler, speculation=speculation)
    return grown(decoder, PROMPTS, controls=controls, max_new_tokens=14)


def guessing(branches: list[Branch]) -> Speculation:
    return Speculation([Guesser(WIDTH, texts(branches), 9)], policy=Fixed(9))


@pytest.mark.parametrize("name", SAMPLERS)
def test_tokens_and_laws_are_those_of_the_cpu(name: str) -> None:
    dtype = torch.float64
    expected = decoded(network("cpu", dtype), SAMPLERS[name]())
    found = decoded(network(DEVICE, dtype), SAMPLERS[name]())
    assert texts(found) == texts(expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.tensor(one.log_p).allclose(torch.tensor(other.log_p), atol=CLOSE[dtype])
        assert torch.tensor(one.log_q).allclose(torch.tensor(other.log_q), atol=CLOSE[dtype])


def test_single_precision_gives_the_laws_of_the_cpu() -> None:
    dtype = torch.float32
    nets = network("cpu", dtype), network(DEVICE, dtype)
    for prompt in PROMPTS:
        ids = torch.tensor([prompt])
        logits = [net.model(ids.to(net.device)).logits.cpu().log_softmax(-1) for net in nets]
        assert torch.allclose(*logits, atol=CLOSE[dtype])


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_drafts_do_not_change_the_tokens(dtype: torch.dtype, attention: str, name: str) -> None:
    net = network(DEVICE, dtype, attention)
    plain = decoded(net, SAMPLERS[name]())
    guessed = decoded(net, SAMPLERS[name](), guessing(plain))
    assert texts(guessed) == texts(plain)


@pytest.mark.parametrize("verifier", [Chain(), Block()])
def test_chains_are_verified_on_the_device(verifier: Chain | Block) -> None:
    speculation = Speculation([OwnLaw(WIDTH, 3, masked=True)], verifier=verifier, policy=Fixed(3))
    for branch in decoded(network(DEVICE, torch.float32), Plain(), speculation):
        assert branch.tokens
        assert not {3, 7} & set(branch.tokens)


def test_half_precision_decodes_within_the_law() -> None:
    net = network(DEVICE, torch.bfloat16)
    for branch in decoded(net, Plain(), guessing(decoded(net, Plain()))):
        assert not {3, 7} & set(branch.tokens)
        assert torch.tensor(branch.log_q).isfinite().all()
