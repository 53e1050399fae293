"""Random-weight models and their tokenizers, for runs that need no download."""

from __future__ import annotations

import functools

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from . import tekken
from .data import OWN_SET

PAD, BEGIN, STOP = "<pad>", "<s>", "</s>"


@functools.cache
def small_tokenizer(size: int = 512) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of `size` tokens, trained on our own schemas."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, BEGIN, STOP],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(OWN_SET.read_text(encoding="utf-8").splitlines(), trainer)
    return _wrapped(tokenizer)


@functools.cache
def tekken_tokenizer(size: int | None = None) -> PreTrainedTokenizerFast:
    """The 131,072-token vocabulary, or its first `size` tokens, as a Hugging Face tokenizer."""
    table = tekken.table()
    shown = _byte_characters()
    ids = {token: i for i, token in enumerate(table.tokens[:size]) if token is not None}
    spelled = {token: "".join(map(shown.__getitem__, token)) for token in ids}
    merges = [
        (spelled[left], spelled[right])
        for token in sorted(ids, key=ids.__getitem__)
        for left, right in _splits(token, ids)
    ]
    vocabulary = table.specials | {spelled[token]: i for token, i in ids.items()}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(table.pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in table.specials])
    return _wrapped(tokenizer, pad="<SPECIAL_11>")


def _splits(token: bytes, ids: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The pairs of tokens that merge into `token`, first merged first."""
    cuts = ((token[:i], token[i:]) for i in range(1, len(token)))
    found = [(left, right) for left, right in cuts if left in ids and right in ids]
    return sorted(found, key=lambda pair: (ids[pair[0]], ids[pair[1]]))


def _byte_characters() -> dict[int, str]:
    """The printable character by which byte-level tokenizers show each byte."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {b: chr(256 + i) for i, b in enumerate(rest)}


def _wrapped(tokenizer: Tokenizer, pad: str = PAD) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=STOP,
        pad_token=pad,
        clean_up_tokenization_spaces=False,
    )


def random_llama(
    tokenizer: PreTrainedTokenizerFast,
    hidden: int,
    layers: int,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> LlamaForCausalLM:
    """A Llama with random weights for `tokenizer`, input and output embeddings shared."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3 // 8 * 8,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // 64),
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    return model.to(dtype).eval()
