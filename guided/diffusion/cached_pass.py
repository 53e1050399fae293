"""A pass over part of a sequence, whose attention also reads keys and values kept from before.

transformers lets attention functions be registered by name. The one here writes a layer's fresh
keys and values into those kept, at their positions, so that nothing is counted twice; positions
enter through `position_ids`. Nothing else of the model is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from guided.decoding.attention import without_plans
from guided.diffusion.memory import Memory
from guided.errors import ModelError

if TYPE_CHECKING:
    from guided.diffusion.adapter import View

NAME = "guided_kept_keys"


@dataclass
class _Pass:
    """What the attention function knows of the pass that it works in.

    Attributes:
        views: the sequences of the pass.
        seen: boolean `[n, 1, queries, columns]`.
        pads: padding on the left of every row of queries.
        kept: what every layer leaves behind, for each sequence.
    """

    views: Sequence[View]
    seen: Tensor
    pads: list[int]
    kept: list[list[tuple[Tensor, Tensor]]] = field(default_factory=list)


_PASS: ContextVar[_Pass | None] = ContextVar("diffusion_pass", default=None)


def refusal(model: Any, takes_positions: bool) -> str | None:
    """Why keys and values cannot be kept between passes of a model; None: they can."""
    name = type(model).__name__
    if not getattr(model, "_supports_attention_backend", False):
        return f"{name} does not call its attention through transformers' attention interface"
    if not takes_positions:
        return f"{name} takes no position_ids"
    config = model.config
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and set(kinds) != {"full_attention"}:
        return f"{name} has layers of {sorted(set(kinds) - {'full_attention'})}"
    return None


def run(
    model: Any, pad_id: int, block_length: int | None, views: Sequence[View]
) -> tuple[list[Tensor], list[Memory | None]]:
    """Logits `[end - begin, V]` of every view's span, and what it wants to keep.

    Raises:
        ModelError: the model's attention did not go through the attention interface.
    """
    register()
    lengths = [view.span.end - view.span.begin for view in views]
    width = max(lengths)
    ids = np.full((len(views), width), pad_id, np.int64)
    positions = np.zeros((len(views), width), np.int64)
    for row, at, view, length in zip(ids, positions, views, lengths, strict=True):
        begin, end = view.span.begin, view.span.end
        row[width - length :] = view.tokens[begin:end]
        at[width - length :] = np.arange(begin, end)
    device = torch.device(getattr(model, "device", "cpu"))
    at_device = torch.from_numpy(positions).to(device)
    pads = [width - length for length in lengths]
    this = _Pass(views, _seen(views, at_device, pads, block_length), pads)
    with torch.no_grad(), without_plans(device), _attending(model, this):
        output = model(input_ids=torch.from_numpy(ids).to(device), position_ids=at_device)
    if not this.kept:
        raise ModelError(f"{type(model).__name__} did not use the attention that was asked for")
    rows = [rows[pad:] for rows, pad in zip(output.logits, pads, strict=True)]
    return rows, [_memory(view, this.kept, at) for at, view in enumerate(views)]


def _seen(
    views: Sequence[View], positions: Tensor, pads: Sequence[int], block_length: int | None
) -> Tensor:
    """Which columns each query sees, boolean `[n, 1, queries, columns]`; column = position."""
    columns = max(len(view.tokens) for view in views)
    at = torch.arange(columns, device=positions.device)
    ends = torch.tensor([len(view.tokens) for view in views], device=positions.device)
    seen = (at[None] < ends[:, None])[:, None, :].expand(-1, positions.shape[1], -1)
    if block_length is not None:
        seen = seen & (at // block_length <= positions[:, :, None] // block_length)
    return seen[:, None]


def _memory(view: View, kept: Sequence[Sequence[tuple[Tensor, Tensor]]], at: int) -> Memory | None:
    if view.span.uses_memory:
        return view.memory
    return Memory(tuple(layer[at] for layer in kept), view.span.keeps)


@contextmanager
def _attending(model: Any, this: _Pass) -> Iterator[None]:
    """Inside, the model's attention is the function of this file."""
    configs = {id(part.config): part.config for part in model.modules() if hasattr(part, "config")}
    before = {key: config._attn_implementation for key, config in configs.items()}
    token = _PASS.set(this)
    try:
        for config in configs.values():
            config._attn_implementation = NAME
        yield
    finally:
        for key, config in configs.items():
            config._attn_implementation = before[key]
        _PASS.reset(token)


def kept_keys_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """An attention function of transformers' form; the mask is the pass's own.

    Raises:
        ModelError: called outside of a pass, or asked for something that it does not compute.
    """
    this = _PASS.get()
    if this is None:
        raise ModelError(f"the attention {NAME} works only inside of a pass of guided")
    for name in ("softcap", "s_aux", "sliding_window", "position_bias"):
        if kwargs.get(name) is not None:
            raise ModelError(f"keys and values cannot be kept with {name}")
    layer = len(this.kept)
    keys, values = _joined(this, key, layer, 0), _joined(this, value, layer, 1)
    this.kept.append(
        [
            (k[:, : view.span.keeps].clone(), v[:, : view.span.keeps].clone())
            if not view.span.uses_memory
            else (k[:, :0], v[:, :0])
            for k, v, view in zip(keys, values, this.views, strict=True)
        ]
    )
    groups = query.shape[1] // keys.shape[1]
    if groups > 1:
        keys, values = (part.repeat_interleave(groups, dim=1) for part in (keys, values))
    mixed = torch.nn.functional.scaled_dot_product_attention(
        query, keys, values, attn_mask=this.seen, scale=scaling
    )
    return mixed.transpose(1, 2).contiguous(), None


def _joined(this: _Pass, fresh: Tensor, layer: int, part: int) -> Tensor:
    """Kept and fresh keys or values `[n, heads, columns, width]`, each at its position."""
    n, heads, _, width = fresh.shape
    whole = fresh.new_zeros((n, heads, this.seen.shape[-1], width))
    for row, view, new, pad in zip(whole, this.views, fresh, this.pads, strict=True):
        if view.span.uses_memory and view.memory is not None:
            old = view.memory.layers[layer][part]
            row[:, : old.shape[1]] = old
        row[:, view.span.begin : view.span.end] = new[:, pad:]
    return whole


@cache
def register() -> None:
    """Makes the attention function known to transformers under `NAME`."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, kept_keys_attention)
