"""A Hugging Face language model reduced to one call: tokens in, logits and cache out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from guided.decoding.attention import NAME as CASCADE
from guided.decoding.attention import SharedPrefix, register, shared, without_plans
from guided.decoding.masks import windowed
from guided.errors import ModelError, VocabularyError
from guided.grammars.once import once

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


def _text_config(model: Any) -> Any:
    config = model.config
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def logits_width(model: Any) -> int | None:
    """Columns of the model's logits as far as they can be told without a forward pass."""
    get_head = getattr(model, "get_output_embeddings", None)
    head = get_head() if get_head is not None else None
    weight = getattr(head, "weight", None)
    if weight is not None and weight.dim() == 2:
        out = getattr(head, "out_features", None)
        return int(out if out is not None else weight.shape[0])
    size = getattr(_text_config(model), "vocab_size", None)
    return None if size is None else int(size)


def cache_of(output: Any) -> Any:
    """The cache that a model's output holds, under its name of whatever version; None: none."""
    found = getattr(output, "cache", None)
    return found if found is not None else getattr(output, "past_key_values", None)


@contextmanager
def switched(model: Any, prefixes: Sequence[SharedPrefix]) -> Iterator[None]:
    """Inside, the model's attention also attends to `prefixes`."""
    register()
    configs = {
        id(module.config): module.config
        for module in model.modules()
        if hasattr(module, "layer_idx") and hasattr(module, "config")
    }
    before = {key: config._attn_implementation for key, config in configs.items()}
    try:
        for config in configs.values():
            config._attn_implementation = CASCADE
        with shared(prefixes):
            yield
    finally:
        for key, config in configs.items():
            config._attn_implementation = before[key]


def context_length(model: Any) -> int | None:
    """Positions that the model can address, where its configuration says so."""
    text = _text_config(model)
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


def _at_path(model: Any, path: Sequence[str]) -> Tensor | None:
    """The parameter at a path of names, None if there is none now."""
    if not path:
        return None
    at = model
    for name in path[:-1]:
        at = at._modules.get(name)
        if at is None:
            return None
    found: Tensor | None = at._parameters.get(path[-1])
    return found


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
        # transformers 5.24 calls the argument and the output `cache`.
        self._cache_name = "cache" if "cache" in names else "past_key_values"
        self.has_cache = self._cache_name in names and "use_cache" in names
        self._is_eager = False

    def own_stage(self, usage: Any, ledger: Any) -> Any:
        """The stage of a network that is no plain one; None: the usual ones do."""
        return None

    @property
    def device(self) -> torch.device:
        """Where token ids belong."""
        found = _at_path(self.model, self._first_parameter)
        return torch.device(getattr(self.model, "device", "cpu")) if found is None else found.device

    @once
    def _first_parameter(self) -> tuple[str, ...]:
        """Where the parameter is whose device a plain model calls its own; searching takes long."""
        if getattr(type(self.model), "device", None) is not PreTrainedModel.device:
            return ()
        names = (name for name, _ in self.model.named_parameters())
        return tuple(next(names, "").split("."))

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
            given.update({self._cache_name: cache, "use_cache": True})
        with torch.no_grad(), without_plans(ids.device):
            output = self.model(input_ids=ids, **given)
        logits = output.logits[:, -kept:]
        if logits.shape[-1] != self.width:
            raise VocabularyError(
                f"the model's logits have {logits.shape[-1]} columns, the vocabulary {self.width}"
            )
        after = cache_of(output) if self.has_cache else None
        if after is None:
            self.has_cache = False
        return Pass(logits, after)

    def read(
        self,
        ids: Tensor,
        mask: Tensor | None,
        positions: Tensor,
        cache: Any,
        prefixes: Sequence[SharedPrefix] = (),
        kept: int = 0,
    ) -> Tensor:
        """Logits `[n, kept or q, V]` of one pass that writes where `cache` says.

        Args:
            mask: boolean `[n, 1, q, columns]` over the cache's columns; None for plain causality.
            positions: `[n, q]`.
            prefixes: further keys and values that some rows attend to.
            kept: how many of the last positions' logits are wanted; 0: all.
        """
        given: dict[str, Any] = {self._cache_name: cache, "use_cache": True}
        if self._takes_kept:
            given["logits_to_keep"] = kept
        if mask is not None:
            is_plain = self.window is None and (prefixes or not self._is_eager)
            given["attention_mask"] = (
                mask if is_plain else self._formed(mask, positions, bool(prefixes))
            )
        given.update(input_ids=ids, position_ids=positions)
        if torch.is_grad_enabled():
            with torch.no_grad():
                logits: Tensor = self._called(given, prefixes).logits
        elif prefixes or ids.is_cuda:
            logits = self._called(given, prefixes).logits
        else:
            logits = self.model(**given).logits
        if kept:
            logits = logits[:, -kept:]
        if logits.shape[-1] != self.width:
            raise VocabularyError(
                f"the model's logits have {logits.shape[-1]} columns, the vocabulary {self.width}"
            )
        return logits

    def _called(self, given: Mapping[str, Any], prefixes: Sequence[SharedPrefix]) -> Any:
        """What the model gives, with its attention as it has to be."""
        if not prefixes and not given["input_ids"].is_cuda:
            return self.model(**given)
        with without_plans(given["input_ids"].device):
            if not prefixes:
                return self.model(**given)
            with switched(self.model, prefixes):
                return self.model(**given)

    def _formed(self, mask: Tensor, positions: Tensor, is_cascade: bool) -> Any:
        """The mask as the model's attention implementation takes it."""
        is_eager = not is_cascade and self._is_eager

        def form(some: Tensor) -> Tensor:
            if not is_eager:
                return some
            least = torch.finfo(self.model.dtype).min
            return torch.zeros_like(some, dtype=self.model.dtype).masked_fill_(~some, least)

        if self.window is None:
            return form(mask)
        near = windowed(mask, positions, self.window)
        if not self.mixes_windows:
            return form(near)
        return {"full_attention": form(mask), "sliding_attention": form(near)}

    def look_at_attention(self) -> None:
        """Takes note of the implementation that the model has now; asking it takes long."""
        self._is_eager = self.attention == "eager"

    @property
    def attention(self) -> str:
        """The model's attention implementation, "" where its configuration does not say."""
        return str(getattr(self._config, "_attn_implementation", None) or "")

    @once
    def _config(self) -> Any:
        """The configuration of the text model; looking for it takes long."""
        return _text_config(self.model)

    @once
    def window(self) -> int | None:
        """How far back the model's sliding layers see, in tokens; None: it has none."""
        config = self._config
        kinds = getattr(config, "layer_types", None)
        if kinds is not None and "sliding_attention" not in kinds:
            return None
        value = getattr(config, "sliding_window", None)
        return value if isinstance(value, int) and value > 0 else None

    @once
    def mixes_windows(self) -> bool:
        """Whether the model takes one mask for each kind of layer."""
        return "full_attention" in (getattr(self._config, "layer_types", None) or ())

    @once
    def bytes_per_token(self) -> int:
        """Bytes of one token's keys and values, as far as the configuration tells; else 0."""
        config = self._config
        queries = getattr(config, "num_attention_heads", None) or 0
        heads = getattr(config, "num_key_value_heads", None) or queries
        layers = getattr(config, "num_hidden_layers", 0)
        width = getattr(config, "head_dim", None)
        if width is None:
            width = config.hidden_size // queries if queries else 0
        size = getattr(self.model, "dtype", torch.float32).itemsize
        return int(2 * layers * heads * width * size)
