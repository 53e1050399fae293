"""Initial weights under which a Llama copies from its prompt almost from the first step.

Nothing but weights: the result is a plain Llama state dict. The first layer gets heads that
attend to the previous tokens, the next two get heads that look for the place whose previous
token is the current one (induction heads), and all later values are passed on nearly unchanged.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from .model import rope_frequencies

CONSTANT = 0.06  # embedding dimension 0, the same for all tokens, carries position-only queries
LOOKBACK_HEADS = 3
INDUCTION_LAYERS = 2
INDUCTION_HEADS = 2
LOOKBACK_GAIN = 2.0
INDUCTION_GAIN = 1.3
SPAN = 100  # tokens over which an induction match must not be spoilt by the rotary angle


def _rows(count: int, width: int) -> Tensor:
    """Random orthonormal rows [count, width] that ignore the constant dimension."""
    rows: Tensor = torch.linalg.qr(torch.randn(width, count))[0].T.contiguous()
    rows[:, 0] = 0
    return rows


def _head(index: int, head_width: int) -> slice:
    return slice(index * head_width, (index + 1) * head_width)


def _look_back(attention: Any, head: int, offset: int, width: int) -> Tensor:
    """Makes one head attend `offset` tokens back; returns the output rows it writes with."""
    at, half = _head(head, width), width // 2
    first, second = slice(at.start, at.start + half), slice(at.start + half, at.stop)
    angles = rope_frequencies(width) * offset
    q, k = attention.q_proj.weight, attention.k_proj.weight
    q[at] *= 0.3
    k[at] *= 0.3
    q[first, 0] = LOOKBACK_GAIN
    k[first, 0] = LOOKBACK_GAIN * torch.cos(angles)
    k[second, 0] = LOOKBACK_GAIN * torch.sin(angles)
    read, write = _rows(width, q.shape[1]), _rows(width, q.shape[1])
    attention.v_proj.weight[at] = read
    attention.o_proj.weight[:, at] = 0.03 * write.T
    return torch.stack([read, write])


def _pass_on(attention: Any, head: int, width: int) -> None:
    """Makes one head copy what it attends to into the residual stream."""
    at = _head(head, width)
    rows = _rows(width, attention.q_proj.weight.shape[1])
    attention.v_proj.weight[at] = 0.5 * rows
    attention.o_proj.weight[:, at] = 0.05 * rows.T


def _match_previous(attention: Any, head: int, width: int, previous: Tensor) -> None:
    """Makes one head attend where the previous token equals the current one."""
    slow = torch.nonzero(rope_frequencies(width) * SPAN < 1.1)[:, 0]
    dims = torch.cat([slow, slow + width // 2])
    at, hidden = _head(head, width), attention.q_proj.weight.shape[1]
    for projection, rows in zip((attention.q_proj, attention.k_proj), previous, strict=True):
        weight = 0.01 * torch.randn(width, hidden)
        weight[dims] += INDUCTION_GAIN * rows[: len(dims)]
        projection.weight[at] = weight


@torch.no_grad()
def make_copy_friendly(model: LlamaForCausalLM, seed: int) -> LlamaForCausalLM:
    """`model`, its weights rewritten in place."""
    torch.manual_seed(seed)
    heads = model.config.num_attention_heads
    width = model.config.hidden_size // heads
    blocks = [layer.self_attn for layer in model.model.layers]
    model.model.embed_tokens.weight[:, 0] = CONSTANT
    written = [_look_back(blocks[0], k, k + 1, width) for k in range(min(LOOKBACK_HEADS, heads))]
    for block in blocks[1:]:
        for head in range(heads):
            _pass_on(block, head, width)
    for block in blocks[1 : 1 + INDUCTION_LAYERS]:
        for head in range(min(INDUCTION_HEADS, heads)):
            _match_previous(block, head, width, written[0])
    return model
