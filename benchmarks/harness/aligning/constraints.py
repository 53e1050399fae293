"""What aligned particles are timed on: a 32,000-token vocabulary, a regex and a JSON schema."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import guided
from guided.grammars.vocabulary import Vocabulary

PROMPT = "Hello world"
LONGEST = 60
PATTERN = r"(Mr|Mrs|Ms)\. [A-Z][a-z]{2,10} (is|was) [0-9]{1,3} years old"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 4},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}


@functools.cache
def tokenizer() -> PreTrainedTokenizerFast:
    """The sentencepiece vocabulary that ships in mistral_common: 32,000 pieces, byte fallback.

    Raises:
        ModuleNotFoundError: mistral_common or sentencepiece is not installed.
    """
    spec = importlib.util.find_spec("mistral_common")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the 32k vocabulary ships in mistral_common, not installed")
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(str(Path(spec.origin).parent / "data" / "tokenizer.model.v1"))
    table = {pieces.IdToPiece(i): i for i in range(pieces.GetPieceSize())}
    model = Tokenizer(models.BPE(table, [], unk_token="<unk>", byte_fallback=True))
    model.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    names = ("<unk>", "<s>", "</s>")
    model.add_special_tokens([AddedToken(text, special=True) for text in names])
    return PreTrainedTokenizerFast(
        tokenizer_object=model, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


@functools.cache
def model() -> guided.Model:
    """A one-layer Llama with random weights, whose laws are neither flat nor certain."""
    vocabulary = Vocabulary.from_tokenizer(tokenizer())
    config = LlamaConfig(
        vocab_size=vocabulary.size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        initializer_range=0.5,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = LlamaForCausalLM(config).eval()
    return guided.Model(network, tokenizer())
