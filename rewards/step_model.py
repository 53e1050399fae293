"""A process reward model reduced to one call: tokens in, outputs at chosen positions out."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

#: Keys and values `[heads, tokens, width]` of every layer.
Layers = list[tuple[Tensor, Tensor]]


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
        self.device = torch.device(getattr(hf_model, "device", "cpu"))
        names = _parameters(hf_model)
        self._cache_name = "cache" if "cache" in names else "past_key_values"
        self._takes_positions = "position_ids" in names
        get_head = getattr(hf_model, "get_output_embeddings", None)
        self._head = get_head() if get_head is not None else None

    @torch.no_grad()
    def outputs(self, parts: Sequence[Part], keep: bool = True) -> tuple[Tensor, list[Layers]]:
        """Outputs `[reads, width]` row after row, and the new keys and values of every row.

        Args:
            keep: False: no cache is used, and no keys and values come back; rows have no past.
        """
        longest = max(len(part.tokens) for part in parts)
        before = max(part.length for part in parts)
        ids = torch.full((len(parts), longest), self.pad)
        mask = torch.zeros((len(parts), before + longest), dtype=torch.long)
        positions = torch.zeros((len(parts), longest), dtype=torch.long)
        for row, part in enumerate(parts):
            count = len(part.tokens)
            ids[row, :count] = torch.tensor(part.tokens)
            # What comes before is padded on the left, what is new on the right.
            mask[row, before - part.length : before + count] = 1
            positions[row] = part.length + torch.arange(longest).clamp(max=count - 1)
        given: dict[str, Any] = {"attention_mask": mask.to(self.device)}
        if self._takes_positions:
            given["position_ids"] = positions.to(self.device)
        cache = self._cache(parts, before) if keep else None
        if keep:
            given[self._cache_name] = cache
        places = [(row, at) for row, part in enumerate(parts) for at in part.reads]
        rows, columns = torch.tensor(places, dtype=torch.long).reshape(-1, 2).T
        with self._only(rows, columns) as is_cut:
            made = self.hf_model(input_ids=ids.to(self.device), use_cache=keep, **given)
        logits = made.logits if hasattr(made, "logits") else made[0]
        outputs = logits[0] if is_cut else logits[rows, columns]
        return outputs, _new_layers(cache, parts, before) if keep else []

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

    def _cache(self, parts: Sequence[Part], before: int) -> Any:
        from transformers.cache_utils import DynamicCache

        cache = DynamicCache()
        if not before:
            return cache
        some = next(part.past[0] for part in parts if part.length)
        for depth in range(len(some)):
            pair = [
                _padded([[piece[depth][kind] for piece in part.past] for part in parts], before)
                for kind in (0, 1)
            ]
            cache.update(pair[0], pair[1], depth)
        return cache


def _padded(rows: Sequence[Sequence[Tensor]], before: int) -> Tensor:
    """Rows of pieces `[heads, tokens, width]` as one tensor, padded on the left."""
    some = next(pieces[0] for pieces in rows if pieces)
    made = some.new_zeros((len(rows), some.shape[0], before, some.shape[2]))
    for row, pieces in enumerate(rows):
        at = before - sum(piece.shape[1] for piece in pieces)
        for piece in pieces:
            made[row, :, at : at + piece.shape[1]] = piece
            at += piece.shape[1]
    return made


def _new_layers(cache: Any, parts: Sequence[Part], before: int) -> list[Layers]:
    return [
        [
            (
                layer.keys[row, :, before : before + len(part.tokens)],
                layer.values[row, :, before : before + len(part.tokens)],
            )
            for layer in cache.layers
        ]
        for row, part in enumerate(parts)
    ]


def _parameters(hf_model: Any) -> set[str]:
    """Names that the model's forward, or that of the network inside of it, takes."""
    names = set(inspect.signature(hf_model.forward).parameters)
    inner = getattr(hf_model, getattr(hf_model, "base_model_prefix", "") or "", None)
    return names | (_parameters(inner) if inner is not None and inner is not hf_model else set())
