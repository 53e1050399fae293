"""Models from a folder or the Hub, of either kind."""

from __future__ import annotations

from typing import Any

import torch

from guided.diffusion.families import family_of
from guided.diffusion.loading import (
    CHECKPOINT_ARGUMENTS,
    default_dtype,
    family_of_dict,
    written_config,
)
from guided.diffusion.loading import load as load_adapter
from guided.diffusion_model import DiffusionModel
from guided.errors import ModelError
from guided.kinds import Kind, check_kind
from guided.model import Model

#: Keyword arguments of `load` that also say which tokenizer is meant.
_SHARED = (*CHECKPOINT_ARGUMENTS, "trust_remote_code")


def load(path_or_id: str, *, kind: Kind = "auto", **hf_kwargs: Any) -> Model:
    """A model from a folder or the Hub; a `DiffusionModel` where it fills masks.

    Without a `device_map` it goes to the first GPU, if there is one; without a `dtype` its
    weights keep theirs on a GPU and become float32 on a CPU.

    Args:
        kind: what it is; "auto" reads it off the configuration.
        hf_kwargs: for `from_pretrained`. Code that comes with a checkpoint, as with most published
            masked-diffusion models, is run only with `trust_remote_code=True`. Of those models,
            `family=` of `guided.diffusion.load` too.

    Raises:
        InputError: an unknown kind.
        ModelError: it cannot be found or loaded, or is of another kind.
    """
    check_kind(kind)
    if kind == "masked-diffusion" or (kind == "auto" and _fills_masks(path_or_id, hf_kwargs)):
        own = _generation_config(path_or_id, hf_kwargs)
        return DiffusionModel(load_adapter(path_or_id, **hf_kwargs), generation_config=own)
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    # Where nothing is said transformers asks at the terminal.
    hf_kwargs.setdefault("trust_remote_code", False)
    shared = {name: hf_kwargs[name] for name in _SHARED if name in hf_kwargs}
    placed = "device_map" in hf_kwargs
    hf_kwargs.setdefault("dtype", default_dtype(placed))
    try:
        config = hf_kwargs.get("config") or AutoConfig.from_pretrained(path_or_id, **shared)
        if getattr(config, "is_encoder_decoder", False):
            raise ModelError(
                f"{path_or_id} is an encoder-decoder model; guided needs a decoder-only one"
            )
        tokenizer = AutoTokenizer.from_pretrained(path_or_id, **shared)
        hf_model = AutoModelForCausalLM.from_pretrained(path_or_id, **hf_kwargs)
    except ModelError:
        raise
    except (OSError, ValueError, KeyError) as error:
        if _fills_masks(path_or_id, hf_kwargs):
            raise ModelError(
                f"{path_or_id!r} is a masked-diffusion model, no causal one: load it without kind="
            ) from error
        raise ModelError.of_loading(path_or_id, error) from error
    if torch.cuda.is_available() and not placed:
        hf_model = hf_model.to(torch.device("cuda"))  # type: ignore[arg-type]
    return Model(hf_model, tokenizer)


def _fills_masks(path_or_id: str, hf_kwargs: dict[str, Any]) -> bool:
    """Whether the configuration, as it is written, is that of a masked-diffusion model."""
    if hf_kwargs.get("family") is not None:
        return True
    config = hf_kwargs.get("config")
    if config is not None:
        return family_of(config) is not None
    shared = {name: hf_kwargs[name] for name in CHECKPOINT_ARGUMENTS if name in hf_kwargs}
    return family_of_dict(written_config(path_or_id, shared)) is not None


def _generation_config(path_or_id: str, hf_kwargs: dict[str, Any]) -> Any:
    """What the checkpoint says about decoding; transformers reads it for causal models only."""
    from transformers import GenerationConfig

    shared = {name: hf_kwargs[name] for name in CHECKPOINT_ARGUMENTS if name in hf_kwargs}
    try:
        return GenerationConfig.from_pretrained(path_or_id, **shared)
    except OSError:
        return None


__all__ = ["load"]
