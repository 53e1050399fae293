"""Language models whose law is any function of the token prefix, with a real model's interface.

They take 2-D and 4-D attention masks, position ids and a transformers cache, and go through
`generate` like any other model. A caller that gets masks, positions or cache wrong sees another
law.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import DynamicCache
from transformers.generation.utils import GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast

Prefix = tuple[int, ...]
_OUTPUT_FIELDS = {field.name for field in fields(CausalLMOutputWithPast)}


class PrefixConfig(PreTrainedConfig):
    """One layer, whose cache holds the tokens and positions themselves."""

    model_type = "guided-prefix"

    def __init__(self, vocab_size: int = 4, eos_token_id: int = 0, **kwargs: Any) -> None:
        self.vocab_size = vocab_size
        self.num_hidden_layers = 1
        self.num_attention_heads = 1
        self.hidden_size = 1
        super().__init__(**kwargs)
        self.eos_token_id = self.pad_token_id = eos_token_id


class PrefixModel(PreTrainedModel, GenerationMixin):
    """Subclasses give `law(prefix)`, the float64 logits `[V]` after a prefix."""

    config_class = PrefixConfig

    def __init__(self, config: PrefixConfig) -> None:
        super().__init__(config)
        self.anchor = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64), requires_grad=False)
        self._laws: dict[Prefix, Tensor] = {}

    def law(self, prefix: Prefix) -> Tensor:
        """The logits after `prefix`."""
        raise NotImplementedError

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        cache: Any = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """What any decoder-only model returns."""
        rows, queries = input_ids.shape
        # The name changed in transformers 5.24.
        cache = cache if cache is not None else past_key_values
        if use_cache and cache is None:
            cache = DynamicCache(config=self.config)
        past = cache.get_seq_length() if cache is not None else 0
        if position_ids is None:
            position_ids = torch.arange(past, past + queries).expand(rows, queries)
        tokens, positions = input_ids, position_ids
        if cache is not None:
            shape = (rows, 1, queries, 1)
            stored = cache.update(tokens.reshape(shape), positions.reshape(shape), 0)
            tokens, positions = stored[0][:, 0, :, 0], stored[1][:, 0, :, 0]
        seen = _visible(attention_mask, rows, queries, tokens.shape[1])
        kept = torch.arange(queries)
        if isinstance(logits_to_keep, Tensor):
            kept = kept[logits_to_keep]
        elif logits_to_keep:
            kept = kept[-logits_to_keep:]
        logits = torch.stack(
            [
                torch.stack([self._logits(tokens[r], positions[r], seen[r, q]) for q in kept])
                for r in range(rows)
            ]
        )
        name = "cache" if "cache" in _OUTPUT_FIELDS else "past_key_values"
        return CausalLMOutputWithPast(logits=logits, **{name: cache})

    def _logits(self, tokens: Tensor, positions: Tensor, seen: Tensor) -> Tensor:
        order = positions[seen].argsort(stable=True)
        prefix = tuple(tokens[seen][order].tolist())
        if positions[seen][order].tolist() != list(range(len(prefix))):
            # Wrong positions: a law that no right caller ever sees.
            prefix = (-1, *prefix)
        if prefix not in self._laws:
            self._laws[prefix] = self.law(prefix)
        return self._laws[prefix]


def _visible(mask: Tensor | None, rows: int, queries: int, columns: int) -> Tensor:
    """Which columns each query attends to, `[rows, queries, columns]`."""
    at = torch.arange(columns)
    causal = at[None, :] <= torch.arange(columns - queries, columns)[:, None]
    if mask is None:
        return causal.expand(rows, queries, columns)
    if mask.dim() == 2:
        return causal[None] & mask.bool()[:, None, :columns]
    whole = mask[:, 0] if mask.dtype == torch.bool else mask[:, 0] == 0
    return whole.expand(rows, queries, columns)
