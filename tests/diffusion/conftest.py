"""Tiny random models and table models for the tests of diffusion decoding."""

import pytest
import torch

from guided.diffusion import DiffusionAdapter
from guided.testing import MaskModel

MASK = 11


def encoder(kind: str = "modernbert", seed: int = 0, layers: int = 2, spread: float = 4.0):
    """A random masked language model of transformers in float64, with 12 tokens."""
    from transformers import BertConfig, BertForMaskedLM, ModernBertConfig, ModernBertForMaskedLM

    torch.manual_seed(seed)
    shape = {
        "vocab_size": MASK + 1,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
    }
    if kind == "bert":
        model = BertForMaskedLM(BertConfig(**shape))
    else:
        ids = {"bos_token_id": 1, "eos_token_id": 1, "cls_token_id": 1, "sep_token_id": 1}
        config = ModernBertConfig(**shape, **ids, layer_types=["full_attention"] * layers)
        model = ModernBertForMaskedLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(spread)
    return model.double().eval()


@pytest.fixture(scope="session")
def encoders():
    """Adapters of random encoders by (kind, block length), made once."""
    made = {}

    def make(kind: str = "modernbert", block_length: int | None = None) -> DiffusionAdapter:
        if (kind, block_length) not in made:
            made[kind, block_length] = DiffusionAdapter(
                encoder(kind), mask_id=MASK, stop_ids=(), block_length=block_length
            )
        return made[kind, block_length]

    return make


@pytest.fixture
def table():
    """Makes adapters of table models."""

    def make(size: int = 6, seed: int = 0, **options) -> DiffusionAdapter:
        model = MaskModel(size, seed, **options)
        return DiffusionAdapter(
            model, shift=options.get("shift"), block_length=options.get("block_length")
        )

    return make
