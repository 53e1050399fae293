"""Process reward models on CUDA score as on the CPU, with a cache and without."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForTokenClassification

from guided.rewards import PRM, Continuation
from guided.testing import byte_tokenizer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

TEXTS = [
    Continuation("1 + 2 = 3\n", (), False),
    Continuation("1 + 2 = 3\n3 + 4 = 7\n", (), False),
    Continuation("1 + 2 = 3\n3 + 4 = 8\nThe answer is 8."),
    Continuation("2 + 2 = 3"),
]


@pytest.mark.parametrize("preset", ["trl", "math-shepherd"])
@pytest.mark.parametrize("cache", [True, False])
def test_scores_are_those_on_the_cpu(preset: str, cache: bool) -> None:
    tokenizer = byte_tokenizer(["It is 3 + 4. ки"] * 9, 330)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=340, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, num_labels=2, initializer_range=0.4,
    )  # fmt: skip
    kind = LlamaForTokenClassification if preset == "trl" else LlamaForCausalLM
    model = kind(config).eval()
    given = {"tokenizer": tokenizer, "delimiter": "\n"}
    expected = PRM(copy.deepcopy(model), preset, cache=False, **given).score(["Why?"] * 4, TEXTS)
    prm = PRM(model.cuda(), preset, cache=cache, **given)
    for _ in range(2):
        for one, other in zip(prm.score(["Why?"] * 4, TEXTS), expected, strict=True):
            assert one == pytest.approx(other, abs=1e-3)
