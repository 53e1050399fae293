"""A tiny Llama: its configuration and a lean forward pass over the plain Hugging Face module."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
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


@torch.no_grad()
def deepened(model: LlamaForCausalLM, sources: tuple[int | None, ...], seed: int) -> Any:
    """A model with one layer for each source: an old layer by its number, None for a new one.

    New layers add nothing at first, so that the new model computes what the old one did.
    """
    old, config = model.model, model.config
    shape = Shape(
        len(sources), config.hidden_size, config.num_attention_heads, config.intermediate_size
    )
    made = build(shape, config.vocab_size, seed)
    made.model.embed_tokens.load_state_dict(old.embed_tokens.state_dict())
    made.model.norm.load_state_dict(old.norm.state_dict())
    for layer, source in zip(made.model.layers, sources, strict=True):
        if source is None:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        else:
            layer.load_state_dict(old.layers[source].state_dict())
    return made


def rope_frequencies(head_width: int) -> Tensor:
    """Angles per position, shape [head_width / 2]."""
    half = head_width // 2
    return ROPE_THETA ** (-torch.arange(half).float() / half)


def rope_tables(head_width: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine, each [MAX_POSITIONS, head_width / 2]."""
    angles = torch.arange(MAX_POSITIONS).float()[:, None] * rope_frequencies(head_width)
    return angles.cos(), angles.sin()


def branch_mask(branches: Tensor, limits: Tensor | None = None) -> Tensor:
    """Which token sees which, [batch, 1, time, time], for the branch of every token.

    A token sees itself, earlier tokens of its own branch, and of branch 0 the earlier ones or,
    with `limits`, those before its limit.
    """
    at = torch.arange(branches.shape[1], device=branches.device)
    own, other = branches[:, :, None], branches[:, None, :]
    trunk = other == 0
    if limits is not None:
        trunk = trunk & (at < limits[:, :, None])
    return (((own == other) | trunk) & (at <= at[:, None]))[:, None]


@dataclass
class Tap:
    """What a forward pass is to keep: the states after a layer, scores of heads (layer, head).

    Afterwards `states` is [batch, time, width] and `scores` has the logarithm of the attention
    [batch, time, time] of each head.
    """

    layer: int
    heads: tuple[tuple[int, int], ...]
    states: Tensor | None = None
    scores: list[Tensor] = field(default_factory=list)

    def see(self, layer: int, q: Tensor, k: Tensor, mask: Tensor | None) -> None:
        """Keeps the scores of this layer's heads; q and k are [batch, heads, time, head_width]."""
        for head in (head for at, head in self.heads if at == layer):
            raw = q[:, head] @ k[:, head].mT / math.sqrt(q.shape[-1])
            seen = torch.ones_like(raw[0], dtype=torch.bool).tril() if mask is None else mask[:, 0]
            self.scores.append(raw.float().masked_fill(~seen, -torch.inf).log_softmax(-1))


class LeanForward:
    """The decoder's hidden states without the module machinery, which costs as much as the maths.

    Equal to `model.model(input_ids).last_hidden_state` for right-padded input.
    """

    def __init__(self, model: LlamaForCausalLM) -> None:
        self.model = model
        self.heads = model.config.num_attention_heads
        tables = rope_tables(model.config.hidden_size // self.heads)
        self.cos, self.sin = (table.to(model.device) for table in tables)

    def hidden(
        self,
        ids: Tensor,
        positions: Tensor | None = None,
        branches: Tensor | None = None,
        wanted: Tensor | None = None,
        tap: Tap | None = None,
        limits: Tensor | None = None,
    ) -> Tensor:
        """Final hidden states of token ids [batch, time].

        `positions` and `branches`, of the same shape, are given for rows with several answers,
        `limits` for those whose branches leave branch 0 before its end (`branch_mask`).
        With a boolean `wanted` of that shape the states are [wanted positions, width], and the
        last layer saves its work on the others; without it they are [batch, time, width].
        A `tap` gets what it asks for.
        """
        if positions is None:
            positions = torch.arange(ids.shape[1], device=ids.device)[None]
        cos, sin = self.cos[positions][:, :, None], self.sin[positions][:, :, None]
        mask = None if branches is None else branch_mask(branches, limits)
        decoder = self.model.model
        h = nnf.embedding(ids, decoder.embed_tokens.weight)
        last = len(decoder.layers) - 1
        for i, layer in enumerate(decoder.layers):
            normed = self._norm(h, layer.input_layernorm)
            q, k, v = self._project(layer.self_attn, normed, cos, sin)
            if tap is not None:
                tap.see(i, q, k, mask)
            mixed = self._attend(q, k, v, mask)
            if i == last and wanted is not None:
                h, mixed = h[wanted], mixed[wanted]
            h = self._finish(layer, h, mixed)
            if tap is not None and tap.layer == i:
                tap.states = h
        return self._norm(h, decoder.norm)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., vocabulary] of hidden states [..., width], in fp32."""
        return nnf.linear(hidden, self.model.model.embed_tokens.weight).float()

    def _norm(self, x: Tensor, norm: Any) -> Tensor:
        return nnf.rms_norm(x, (x.shape[-1],), norm.weight, self.model.config.rms_norm_eps)

    def _project(
        self, parts: Any, x: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each [batch, heads, time, head_width]."""
        batch, time, _ = x.shape
        weights = torch.cat([parts.q_proj.weight, parts.k_proj.weight, parts.v_proj.weight])
        qkv = nnf.linear(x, weights).view(batch, time, 3 * self.heads, -1)
        qk, v = qkv[:, :, : 2 * self.heads], qkv[:, :, 2 * self.heads :]
        q, k = self._rotate(qk, cos, sin).transpose(1, 2).chunk(2, 1)
        return q, k, v.transpose(1, 2)

    @staticmethod
    def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """What every position gathers, before the output projection: [batch, time, width]."""
        mixed = nnf.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return mixed.transpose(1, 2).flatten(2)

    @staticmethod
    def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Rotary embedding of x [batch, time, heads, head_width], computed in fp32."""
        left, right = x.float().chunk(2, dim=-1)
        return torch.cat([left * cos - right * sin, right * cos + left * sin], -1).to(x.dtype)

    def _finish(self, layer: Any, h: Tensor, mixed: Tensor) -> Tensor:
        """What a layer gives out, from what came in and what its heads gathered."""
        h = h + nnf.linear(mixed, layer.self_attn.o_proj.weight)
        return h + self._feed_forward(layer.mlp, self._norm(h, layer.post_attention_layernorm))

    @staticmethod
    def _feed_forward(mlp: Any, x: Tensor) -> Tensor:
        gate = nnf.silu(nnf.linear(x, mlp.gate_proj.weight))
        return nnf.linear(gate * nnf.linear(x, mlp.up_proj.weight), mlp.down_proj.weight)
