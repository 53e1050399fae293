"""Plain batched decoding, without any constraint."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from .batches import by_length
from .model import EOS


def decode(
    model: LlamaForCausalLM,
    tokenizer: Any,
    prompts: list[str],
    longest: int = 200,
    temperature: float = 0.0,
    seed: int = 0,
    batch: int = 64,
) -> list[str]:
    """Continuations of `prompts`, greedy at temperature 0, each up to `<eos>`."""
    generator = torch.Generator().manual_seed(seed)
    texts = [""] * len(prompts)
    for chosen in by_length(prompts, batch):
        encoded = tokenizer([prompts[i] for i in chosen], return_tensors="pt", padding=True)
        made = _continue(model, encoded, longest, temperature, generator)
        for i, ids in zip(chosen, made, strict=True):
            texts[i] = tokenizer.decode(ids[: ids.index(EOS)] if EOS in ids else ids)
    return texts


@torch.no_grad()
def _continue(
    model: LlamaForCausalLM,
    encoded: dict[str, Tensor],
    longest: int,
    temperature: float,
    generator: torch.Generator,
) -> list[list[int]]:
    """New token ids per row of a left-padded batch."""
    ids, mask = encoded["input_ids"], encoded["attention_mask"]
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    parameters = inspect.signature(model.forward).parameters
    name = "cache" if "cache" in parameters else "past_key_values"  # renamed in transformers 5.24
    cache, made = None, []
    running = torch.ones(len(ids), dtype=torch.bool)
    for _ in range(longest):
        out = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **{name: cache},
        )
        cache = out[name]
        token = _pick(out.logits[:, -1].float(), temperature, generator)
        made.append(torch.where(running, token, EOS))
        running &= token != EOS
        if not running.any():
            break
        ids, positions = token[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, torch.ones(len(token), 1, dtype=mask.dtype)], 1)
    rows: list[list[int]] = torch.stack(made, 1).tolist()
    return rows


def _pick(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    if temperature == 0:
        return logits.argmax(-1)
    weights = torch.softmax(logits / temperature, -1)
    return torch.multinomial(weights, 1, generator=generator)[:, 0]
