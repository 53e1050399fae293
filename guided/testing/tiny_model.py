"""A tiny model of a real architecture with random weights."""

from __future__ import annotations

from functools import cache

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from guided.model import Model
from guided.testing.fake_model import byte_tokenizer

TEXTS = [
    '{"name": "Mira", "age": 31, "hobbies": ["chess", "rowing"]}',
    "The quick brown fox jumps over the lazy dog. JSON: [1, 2, 3] true false null",
    "</think> the answer is yes or no, name (string), age (integer)",
    "Straße naïve 日本語 🎉",
]
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@cache
def tiny_model(seed: int = 0) -> Model:
    """Llama with two layers in float64 over a byte-level tokenizer of some 400 tokens.

    It babbles; what it says under a constraint is valid all the same. Equal seeds share one model.
    """
    tokenizer = byte_tokenizer(TEXTS * 3, 400)
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + 7,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        eos_token_id=0,
        pad_token_id=0,
        initializer_range=0.2,
    )
    return Model(LlamaForCausalLM(config).double(), tokenizer)
