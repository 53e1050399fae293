"""Loads the models that rewards read, in the way that fits a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from guided.errors import ModelError

#: Keyword arguments that also say which tokenizer and configuration are meant.
_SHARED = ("revision", "trust_remote_code", "token", "subfolder", "cache_dir", "local_files_only")


def _token_classification() -> Any:
    from transformers import AutoModelForTokenClassification

    return AutoModelForTokenClassification


def _sequence_classification() -> Any:
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification


def _causal_lm() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM


def _qwen_steps() -> Any:
    from guided.rewards.heads import Qwen2StepScores

    return Qwen2StepScores


def _value_head() -> Any:
    from guided.rewards.heads import Qwen2ValueHead

    return Qwen2ValueHead


#: What loads a model, by the name that formats use.
LOADERS: dict[str, Callable[[], Any]] = {
    "token_classification": _token_classification,
    "sequence_classification": _sequence_classification,
    "causal_lm": _causal_lm,
    "qwen_steps": _qwen_steps,
    "value_head": _value_head,
}


def load_config(path_or_id: str, **hf_kwargs: Any) -> Any:
    """The configuration of a model; ModelError if it cannot be found."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(path_or_id, **_shared(hf_kwargs))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"cannot load {path_or_id!r}: {error}") from error


def load_model(path_or_id: str, loader: str, **hf_kwargs: Any) -> Any:
    """A model by one of `LOADERS`, on the first GPU if there is one (without a `device_map`).

    Its weights keep their type there and become float32 on a CPU, unless `dtype` says.

    Raises:
        ModelError: it cannot be found or loaded, or weights of it are missing.
    """
    on_gpu = torch.cuda.is_available()
    placed = "device_map" in hf_kwargs
    hf_kwargs.setdefault("dtype", "auto" if on_gpu or placed else torch.float32)
    try:
        model, facts = LOADERS[loader]().from_pretrained(
            path_or_id, output_loading_info=True, **hf_kwargs
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"cannot load {path_or_id!r}: {error}") from error
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


def _shared(hf_kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: hf_kwargs[name] for name in _SHARED if name in hf_kwargs}
