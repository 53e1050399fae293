"""Loads the models that rewards read, in the way that fits a CPU or a GPU."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import torch

from guided.errors import InputError, ModelError
from guided.rewards.rotary import repair_rotary

#: Keyword arguments that also say which tokenizer and configuration are meant.
_SHARED = ("revision", "trust_remote_code", "token", "subfolder", "cache_dir", "local_files_only")


#: Module and class that load a model, by the name that formats use.
LOADERS = {
    "token_classification": ("transformers", "AutoModelForTokenClassification"),
    "sequence_classification": ("transformers", "AutoModelForSequenceClassification"),
    "causal_lm": ("transformers", "AutoModelForCausalLM"),
    "qwen_steps": ("guided.rewards.heads", "Qwen2StepScores"),
    "value_head": ("guided.rewards.heads", "Qwen2ValueHead"),
}


def load_config(path_or_id: str, **hf_kwargs: Any) -> Any:
    """The configuration of a model; ModelError if it cannot be found."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(path_or_id, **_shared(hf_kwargs))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError.of_loading(path_or_id, error) from error


def load_model(path_or_id: str, loader: str, **hf_kwargs: Any) -> Any:
    """A model by one of `LOADERS`, on the first GPU if there is one (without a `device_map`).

    Its weights keep their type there and become float32 on a CPU, unless `dtype` says.

    Raises:
        ModelError: it cannot be found or loaded, or weights of it are missing.
    """
    module, name = LOADERS[loader]
    on_gpu = torch.cuda.is_available()
    placed = "device_map" in hf_kwargs
    hf_kwargs.setdefault("dtype", "auto" if on_gpu or placed else torch.float32)
    try:
        model, facts = getattr(import_module(module), name).from_pretrained(
            path_or_id, output_loading_info=True, **hf_kwargs
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError.of_loading(path_or_id, error) from error
    if missing := sorted(facts.get("missing_keys", ())):
        raise ModelError(
            f"{path_or_id!r} has no weights {', '.join(missing[:4])}: it is no model of this kind, "
            "and its scores would be random"
        )
    return model.to("cuda") if on_gpu and not placed else model


def load_tokenizer(path_or_id: str, **hf_kwargs: Any) -> Any:
    """The tokenizer of a model; ModelError if it cannot be found."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path_or_id, **_shared(hf_kwargs))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"cannot load the tokenizer of {path_or_id!r}: {error}") from error


def check_given(hf_model: Any, tokenizer: Any, hf_kwargs: dict[str, Any]) -> None:
    """Raises InputError unless a caller has given a model that can be used as it is."""
    if hf_kwargs:
        raise InputError(f"{', '.join(hf_kwargs)}: arguments for loading, but a model was given")
    if getattr(hf_model, "config", None) is None or not callable(hf_model):
        raise InputError(f"a path, an id or a Hugging Face model, not {hf_model!r}")
    if tokenizer is None:
        raise InputError("a model that is loaded already needs tokenizer=")


def prepared(hf_model: Any, kind: str) -> Any:
    """The model, ready to score; warns the caller's caller of rotary buffers that were not loaded.

    Raises:
        ModelError: they cannot be computed again.
    """
    if repaired := repair_rotary(hf_model):
        warnings.warn(
            f"rotary frequencies of the {kind} reward model ({repaired[0]}, …) were not loaded; "
            "they have been computed again from its configuration",
            RuntimeWarning,
            stacklevel=3,
        )
    return hf_model.eval()


def _shared(hf_kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: hf_kwargs[name] for name in _SHARED if name in hf_kwargs}
