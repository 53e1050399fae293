"""Small models with random weights, for every kind of process reward model."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForTokenClassification,
    Qwen2Config,
    Qwen2ForTokenClassification,
)

from guided.rewards.heads import Qwen2StepScores, Qwen2ValueHead
from guided.testing import byte_tokenizer

TEXTS = [
    "What is 12 + 30? It is 42. So 42 - 2 = 40.\n\nThe answer is 40.",
    "Janet has 3 eggs. ки\n Step 2: she eats 1 + - ки",
    "system user assistant Please reason step by step",
]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.4,
}


def make_tokenizer() -> Any:
    tokenizer = byte_tokenizer(TEXTS * 8, 420)
    tokenizer.add_special_tokens(
        {
            "bos_token": "<bos>",
            "additional_special_tokens": ["<|im_start|>", "<|im_end|>", "<extra_0>"],
        }
    )
    tokenizer.chat_template = CHAT
    return tokenizer


def make_model(kind: type, labels: int = 2, **settings: Any) -> Any:
    torch.manual_seed(7)
    config_class = Qwen2Config if kind.__name__.startswith("Qwen2") else LlamaConfig
    given = SIZES | {"vocab_size": 450, "pad_token_id": None, "num_labels": labels} | settings
    model = kind(config_class(**given)).eval()
    for parameter in model.parameters():
        # Fresh heads are often all but zero, which would let a wrong read-out pass.
        if parameter.dim() == 1 and parameter.numel() <= 2:
            torch.nn.init.normal_(parameter)
    return model


KINDS: dict[str, type] = {
    "qwen": Qwen2StepScores,
    "math-shepherd": LlamaForCausalLM,
    "rlhflow": LlamaForCausalLM,
    "skywork": Qwen2ValueHead,
    "pure": Qwen2ForTokenClassification,
    "trl": LlamaForTokenClassification,
    "tiny-prm": LlamaForTokenClassification,
}


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="session")
def models() -> Callable[[str], Any]:
    """A model for every preset by its name; equal names share one."""
    made: dict[str, Any] = {}

    def model(preset: str) -> Any:
        if preset not in made:
            made[preset] = make_model(KINDS[preset])
        return made[preset]

    return model


@pytest.fixture(scope="session")
def build() -> Callable[..., Any]:
    """Makes a model of a class, with settings of its own."""
    return make_model
