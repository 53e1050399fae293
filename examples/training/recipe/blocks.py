"""The parts of a layer, for forward passes that attend in their own way."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor

from .model import LeanForward


class Blocks(LeanForward):
    """Heads before the attention, and the rest of the layer after it."""

    def _heads(
        self, parts: Any, x: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys, and values, each [batch, time, heads, width]."""
        weights = torch.cat([parts.q_proj.weight, parts.k_proj.weight, parts.v_proj.weight])
        qkv = nnf.linear(x, weights).view(*x.shape[:-1], 3 * self.heads, -1)
        at = 2 * self.heads
        q, k = self._rotate(qkv[..., :at, :], cos, sin).chunk(2, -2)
        return q, k, qkv[..., at:, :]

    def _finish(self, layer: Any, h: Tensor, mixed: Tensor) -> Tensor:
        """What a layer gives out, from what came in and what its heads gathered."""
        h = h + nnf.linear(mixed, layer.self_attn.o_proj.weight)
        return h + self._feed_forward(layer.mlp, self._norm(h, layer.post_attention_layernorm))
