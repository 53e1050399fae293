"""Attention over shared prefixes: one copy of their keys and values for all rows that share them.

The rows that share a prefix are folded into one query axis (Juravsky et al. 2024, Hydragen). Every
part gives an unnormalised sum with its maximum and its total, and the parts are merged exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

NAME = "guided_cascade"
_PLANLESS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]

#: Keys and values `[1, heads, length, width]` of every layer.
Layers = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """Keys and values that some rows of a pass have in common; `rows` is None for all rows."""

    layers: Layers
    rows: Tensor | None


class Part(NamedTuple):
    """Attention over some of the columns, before normalisation.

    Shapes: `mixed [n, heads, queries, width]`, `top` and `total` `[n, heads, queries, 1]`.
    """

    mixed: Tensor
    top: Tensor
    total: Tensor


_PREFIXES: ContextVar[Sequence[SharedPrefix]] = ContextVar("prefixes", default=())


def without_plans(device: torch.device) -> AbstractContextManager[None]:
    """Inside, torch's attention does not run in cuDNN.

    On new GPUs torch prefers cuDNN, which builds a plan for every length that it has not seen,
    which nearly every pass of decoding has (pytorch/pytorch#155958).
    """
    return sdpa_kernel(_PLANLESS) if device.type == "cuda" else nullcontext()


@contextmanager
def shared(prefixes: Sequence[SharedPrefix]) -> Iterator[None]:
    """Inside, the attention function `NAME` also attends to `prefixes`."""
    token = _PREFIXES.set(prefixes)
    try:
        yield
    finally:
        _PREFIXES.reset(token)


def partial_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float
) -> Part:
    """Attention of `query [n, heads, q, w]` over `key`, `value` `[n, heads, s, w]`.

    Args:
        mask: `[n, 1 or heads, q, s]`, True where a query sees a column; None: everywhere. Every
            query sees some column.
    """
    scores = (query @ key.transpose(-1, -2)) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    top = scores.amax(dim=-1, keepdim=True)
    weights = (scores - top).exp_()
    return Part(weights.to(value.dtype) @ value, top, weights.sum(dim=-1, keepdim=True))


def merged(parts: Sequence[Part]) -> Tensor:
    """The attention over all parts' columns together."""
    top = torch.stack([part.top for part in parts]).amax(dim=0)
    total = torch.zeros_like(top)
    mixed = torch.zeros_like(parts[0].mixed)
    for part in parts:
        factor = (part.top - top).exp()
        total += factor * part.total
        mixed += factor.to(mixed.dtype) * part.mixed
    return mixed / total.to(mixed.dtype)


def _packed(query: Tensor, heads: int) -> Tensor:
    """Query heads that share a key head, side by side in the query axis `[n, heads, g * q, w]`."""
    n, all_heads, queries, width = query.shape
    return query.reshape(n, heads, all_heads // heads * queries, width)


def _over_prefix(query: Tensor, prefix: SharedPrefix, layer: int, scale: float) -> Part:
    """The part of a prefix, for the rows that share it; nothing for the others."""
    key, value = prefix.layers[layer]
    chosen = query if prefix.rows is None else query[prefix.rows]
    n, heads, queries, width = chosen.shape
    folded = chosen.transpose(0, 1).reshape(1, heads, n * queries, width)
    part = partial_attention(folded, key, value, None, scale)
    each = [x.view(heads, n, queries, -1).transpose(0, 1) for x in part]
    if prefix.rows is None:
        return Part(*each)
    whole = Part(
        query.new_zeros((*query.shape[:-1], value.shape[-1])),
        query.new_full((*query.shape[:-1], 1), -torch.inf),
        query.new_zeros((*query.shape[:-1], 1)),
    )
    for into, some in zip(whole, each, strict=True):
        into[prefix.rows] = some
    return whole


def cascade_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """An attention function of transformers' form; `attention_mask` is boolean.

    Raises:
        ValueError: the model asks for something that this function does not compute.
    """
    for name in ("softcap", "s_aux", "sliding_window", "position_bias"):
        if kwargs.get(name) is not None:
            raise ValueError(f"shared prefixes do not work with {name}")
    n, all_heads, queries, width = query.shape
    heads = key.shape[1]
    scale = width**-0.5 if scaling is None else scaling
    packed = _packed(query, heads)
    mask = attention_mask
    if mask is not None and all_heads != heads:
        mask = mask.repeat(1, 1, all_heads // heads, 1)
    parts = [partial_attention(packed, key, value, mask, scale)]
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    parts += [_over_prefix(packed, prefix, layer, scale) for prefix in _PREFIXES.get()]
    out = merged(parts).view(n, all_heads, queries, -1)
    return out.transpose(1, 2).contiguous(), None


@cache
def register() -> None:
    """Makes the attention function known to transformers under `NAME`.

    Done when it is first needed: the module takes seconds to import.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, cascade_attention)
