"""A Hugging Face language model reduced to one call: tokens in, logits and cache out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from guided.errors import ModelError, VocabularyError

_ADVICE = "guided needs a decoder-only language model with a head (AutoModelForCausalLM)"


class Pass(NamedTuple):
    """Logits `[n, kept, V]` after the last positions, and the cache (None: the model has none)."""

    logits: Tensor
    cache: Any


def check_model(model: Any) -> None:
    """Raises ModelError unless `model` is a decoder-only language model."""
    config = getattr(model, "config", None)
    if config is None or not callable(model):
        raise ModelError(f"{type(model).__name__} is no Hugging Face model. {_ADVICE}.")
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{type(model).__name__} is an encoder-decoder model. {_ADVICE}.")
    can_generate: Callable[[], bool] = getattr(model, "can_generate", lambda: True)
    if not can_generate():
        raise ModelError(f"{type(model).__name__} cannot generate text. {_ADVICE}.")


def logits_width(model: Any) -> int | None:
    """Columns of the model's logits as far as they can be told without a forward pass."""
    get_head = getattr(model, "get_output_embeddings", None)
    head = get_head() if get_head is not None else None
    weight = getattr(head, "weight", None)
    if weight is not None and weight.dim() == 2:
        out = getattr(head, "out_features", None)
        return int(out if out is not None else weight.shape[0])
    text = model.config.get_text_config() if hasattr(model.config, "get_text_config") else None
    size = getattr(text if text is not None else model.config, "vocab_size", None)
    return None if size is None else int(size)


def context_length(model: Any) -> int | None:
    """Positions that the model can address, where its configuration says so."""
    config = model.config
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length"):
        value = getattr(text, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _parameters(model: Any) -> set[str]:
    """Names that the model's forward takes; those of the model inside of a wrapper count too."""
    names = set(inspect.signature(model.forward).parameters)
    inner = getattr(model, "_orig_mod", None)  # torch.compile
    if inner is None and callable(getattr(model, "get_base_model", None)):  # adapters
        inner = model.get_base_model()
    return names | _parameters(inner) if inner is not None and inner is not model else names


class Network:
    """Calls the model's public forward with what its signature takes."""

    def __init__(self, model: Any, width: int) -> None:
        check_model(model)
        self.model = model
        self.width = width
        names = _parameters(model)
        self._takes_positions = "position_ids" in names
        self._takes_mask = "attention_mask" in names
        self._takes_kept = "logits_to_keep" in names
        self.has_cache = "past_key_values" in names and "use_cache" in names

    @property
    def device(self) -> torch.device:
        """Where token ids belong."""
        return torch.device(getattr(self.model, "device", "cpu"))

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None,
        positions: Tensor | None,
        cache: Any,
        kept: int = 1,
    ) -> Pass:
        """One pass over `ids [n, q]` after what `cache` holds.

        Args:
            mask: `[n, cached + q]`, 1 where a column holds a token; None where all do.
            positions: `[n, q]`, None where they simply go on from the cache.
            kept: how many of the last positions' logits are wanted.

        Raises:
            VocabularyError: the logits are not as wide as the vocabulary.
        """
        given: dict[str, Any] = {"logits_to_keep": kept} if self._takes_kept else {}
        if mask is not None and self._takes_mask:
            given["attention_mask"] = mask
        if positions is not None and self._takes_positions:
            given["position_ids"] = positions
        if self.has_cache:
            given.update(past_key_values=cache, use_cache=True)
        with torch.no_grad():
            output = self.model(input_ids=ids, **given)
        logits = output.logits[:, -kept:]
        if logits.shape[-1] != self.width:
            raise VocabularyError(
                f"the model's logits have {logits.shape[-1]} columns, the vocabulary {self.width}"
            )
        after = getattr(output, "past_key_values", None) if self.has_cache else None
        if after is None:
            self.has_cache = False
        return Pass(logits, after)
