"""A small network that tests of decoding share."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from guided.decoding import Network
from tests.decoding.drafting import WIDTH


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=WIDTH, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    return Network(LlamaForCausalLM(config).double().eval(), WIDTH)
