"""A process reward model reduced to one call: tokens in, outputs at chosen positions out."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from guided.decoding.attention import without_plans

#: Bytes of keys and values before a pass up to which their memory is used again.
_MOST_ROOM = 1 << 26

#: Keys and values of all layers in turn, `[2 * layers, heads, tokens, width]`.
Layers = Tensor


class Part(NamedTuple):
    """New tokens of one row of a pass.

    Attributes:
        past: keys and values of what comes before them, in pieces, in order.
        length: of these pieces together.
        reads: at which of the new tokens outputs are wanted.
    """

    tokens: Sequence[int]
    reads: Sequence[int]
    past: Sequence[Layers] = ()
    length: int = 0


class StepModel:
    """Runs a Hugging Face model on rows of any length, with what came before in a cache or not."""

    def __init__(self, hf_model: Any, pad: int) -> None:
        self.hf_model = hf_model
        self.pad = pad
        names = _parameters(hf_model)
        self._cache_name = "cache" if "cache" in names else "past_key_values"
        self._takes_positions = "position_ids" in names
        get_head = getattr(hf_model, "get_output_embeddings", None)
        self._room: Tensor | None = None
        self._head = get_head() if get_head is not None else None

    @property
    def device(self) -> torch.device:
        """Where the model's inputs belong, wherever it was moved."""
        return torch.device(getattr(self.hf_model, "device", "cpu"))

    @torch.inference_mode()
    def outputs(self, parts: Sequence[Part], keep: bool = True) -> tuple[Tensor, list[Layers]]:
        """Outputs `[reads, width]` row after row, and the new keys and values of every row.

        The latter are views that hold until the next call.

        Args:
            keep: False: no cache is used, and no keys and values come back; rows have no past.
        """
        longest = max(len(part.tokens) for part in parts)
        before = max(part.length for part in parts)
        ids, mask, positions = _inputs(parts, longest, before, self.pad)
        given: dict[str, Any] = {"attention_mask": mask.to(self.device)}
        if self._takes_positions:
            given["position_ids"] = positions.to(self.device)
        room = self._filled_room(parts, before, longest) if before else None
        cache = _cache(room, before) if keep else None
        if keep:
            given[self._cache_name] = cache
        places = [(row, at) for row, part in enumerate(parts) for at in part.reads]
        rows, columns = torch.tensor(places, dtype=torch.long).reshape(-1, 2).T
        with self._only(rows, columns) as is_cut, without_plans(self.device):
            made = self.hf_model(input_ids=ids.to(self.device), use_cache=keep, **given)
        logits = made.logits if hasattr(made, "logits") else made[0]
        outputs = logits[0] if is_cut else logits[rows, columns]
        return outputs, _new_layers(cache, room, parts, before) if keep else []

    def _filled_room(self, parts: Sequence[Part], before: int, longest: int) -> Tensor:
        """Keys and values `[2 * layers, rows, heads, before + longest, width]` of what comes before
        the parts, padded on the left, and room for what a pass adds.
        """
        some = next(part.past[0] for part in parts if part.length)
        kinds, heads, _, width = some.shape
        shape = kinds, len(parts), heads, before + longest, width
        room = self._memory(some, math.prod(shape)).view(shape)
        for row, part in enumerate(parts):
            at = before - part.length
            # Masked, but what is no number there would spoil sums nevertheless.
            room[:, row, :, :at] = 0
            for piece in part.past:
                room[:, row, :, at : at + piece.shape[2]] = piece
                at += piece.shape[2]
        return room

    def _memory(self, like: Tensor, count: int) -> Tensor:
        """So many numbers of any value, which hold until the next call.

        Memory that the system hands out anew costs more than what is done with a little of it.
        """
        if count * like.element_size() > _MOST_ROOM:
            return like.new_empty(count)
        room, kind = self._room, (like.dtype, like.device)
        if room is None or room.numel() < count or (room.dtype, room.device) != kind:
            room = self._room = like.new_empty(2 * count)
        return room[:count]

    @contextmanager
    def _only(self, rows: Tensor, columns: Tensor) -> Iterator[bool]:
        """Inside, a language model's head sees the chosen positions only: its logits are wide."""
        if self._head is None:
            yield False
            return

        def choose(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
            return (given[0][rows, columns][None], *given[1:])

        hook = self._head.register_forward_pre_hook(choose)
        try:
            yield True
        finally:
            hook.remove()


def _inputs(
    parts: Sequence[Part], longest: int, before: int, pad: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens `[rows, longest]`, mask `[rows, before + longest]` and positions `[rows, longest]`."""
    ids = np.full((len(parts), longest), pad, np.int64)
    mask = np.zeros((len(parts), before + longest), np.int64)
    positions = np.empty((len(parts), longest), np.int64)
    for row, part in enumerate(parts):
        count, length = len(part.tokens), part.length
        ids[row, :count] = part.tokens
        # What comes before is padded on the left, what is new on the right.
        mask[row, before - length : before + count] = 1
        positions[row, :count] = np.arange(length, length + count)
        positions[row, count:] = length + count - 1
    return torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(positions)


def _cache(room: Tensor | None, before: int) -> Any:
    """A cache that holds the first columns of `room` and writes into the others."""
    from transformers.cache_utils import DynamicCache

    from guided.rewards.step_cache import RoomyLayer

    cache = DynamicCache()
    if room is not None:
        pairs = zip(room[::2], room[1::2], strict=True)
        cache.layers = [RoomyLayer(keys, values, before) for keys, values in pairs]
    return cache


def _new_layers(
    cache: Any, room: Tensor | None, parts: Sequence[Part], before: int
) -> list[Layers]:
    """Views of the keys and values that a pass has added; they hold until the next call."""
    every = room
    if every is None:
        every = torch.stack([x for layer in cache.layers for x in (layer.keys, layer.values)])
    return [every[:, row, :, before : before + len(part.tokens)] for row, part in enumerate(parts)]


def _parameters(hf_model: Any) -> set[str]:
    """Names that the model's forward, or that of the network inside of it, takes."""
    names = set(inspect.signature(hf_model.forward).parameters)
    inner = getattr(hf_model, getattr(hf_model, "base_model_prefix", "") or "", None)
    return names | (_parameters(inner) if inner is not None and inner is not hf_model else set())
