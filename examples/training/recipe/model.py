"""A tiny Llama: its configuration and a lean forward pass over the plain Hugging Face module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

PAD, BOS, EOS, MASK = range(4)
ROPE_THETA = 10_000.0
MAX_POSITIONS = 1024


@dataclass(frozen=True)
class Shape:
    """Size of a model; `width` is the hidden size, `inner` that of the SwiGLU layer."""

    layers: int
    width: int
    heads: int
    inner: int

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def build(shape: Shape, vocabulary: int, seed: int) -> LlamaForCausalLM:
    """A freshly initialised model in fp32 with tied embeddings."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
    )
    return LlamaForCausalLM(config)


def rope_frequencies(head_width: int) -> Tensor:
    """Angles per position, shape [head_width / 2]."""
    half = head_width // 2
    return ROPE_THETA ** (-torch.arange(half).float() / half)


def rope_tables(head_width: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine, each [MAX_POSITIONS, head_width / 2]."""
    angles = torch.arange(MAX_POSITIONS).float()[:, None] * rope_frequencies(head_width)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x [batch, heads, time, head_width], in fp32, returned in x's dtype."""
    left, right = x.float().chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], -1).to(x.dtype)


class LeanForward:
    """The decoder's hidden states without the module machinery, which costs as much as the maths.

    Equal to `model.model(input_ids).last_hidden_state` for right-padded input.
    """

    def __init__(self, model: LlamaForCausalLM) -> None:
        self.model = model
        self.heads = model.config.num_attention_heads
        self.cos, self.sin = rope_tables(model.config.hidden_size // self.heads)

    def hidden(self, ids: Tensor) -> Tensor:
        """Final hidden states [batch, time, width] of token ids [batch, time]."""
        decoder = self.model.model
        h = nnf.embedding(ids, decoder.embed_tokens.weight)
        for layer in decoder.layers:
            h = h + self._attention(layer, self._norm(h, layer.input_layernorm))
            h = h + self._feed_forward(layer.mlp, self._norm(h, layer.post_attention_layernorm))
        return self._norm(h, decoder.norm)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., vocabulary] of hidden states [..., width], in fp32."""
        return nnf.linear(hidden, self.model.model.embed_tokens.weight).float()

    def _norm(self, x: Tensor, norm: Any) -> Tensor:
        return nnf.rms_norm(x, (x.shape[-1],), norm.weight, self.model.config.rms_norm_eps)

    def _attention(self, layer: Any, x: Tensor) -> Tensor:
        batch, time, width = x.shape
        parts = layer.self_attn
        cos, sin = self.cos[:time], self.sin[:time]
        q, k, v = (
            nnf.linear(x, p.weight).view(batch, time, self.heads, -1).transpose(1, 2)
            for p in (parts.q_proj, parts.k_proj, parts.v_proj)
        )
        mixed = nnf.scaled_dot_product_attention(
            _rotate(q, cos, sin), _rotate(k, cos, sin), v, is_causal=True
        )
        return nnf.linear(mixed.transpose(1, 2).reshape(batch, time, width), parts.o_proj.weight)

    @staticmethod
    def _feed_forward(mlp: Any, x: Tensor) -> Tensor:
        gate = nnf.silu(nnf.linear(x, mlp.gate_proj.weight))
        return nnf.linear(gate * nnf.linear(x, mlp.up_proj.weight), mlp.down_proj.weight)
