"""Loading masked-diffusion models; code from the Hub is run only on the caller's word."""

from __future__ import annotations

from typing import Any

import torch

from guided.diffusion.adapter import DiffusionAdapter
from guided.diffusion.families import Family, family_of, given_family
from guided.errors import ModelError

#: Keyword arguments that say which files of a checkpoint are meant.
CHECKPOINT_ARGUMENTS = ("revision", "token", "subfolder", "cache_dir", "local_files_only")


def load(
    path_or_id: str,
    *,
    family: Family | str | None = None,
    trust_remote_code: bool = False,
    **hf_kwargs: Any,
) -> DiffusionAdapter:
    """A masked-diffusion model from a folder or the Hub, behind an adapter.

    Without a `device_map` it goes to the first GPU, if there is one; without a `dtype` its weights
    keep theirs on a GPU and become float32 on a CPU.

    Args:
        family: a `Family` or its name, where the configuration does not tell.
        trust_remote_code: whether Python code that comes with the checkpoint may be run.

    Raises:
        ModelError: it cannot be found or loaded, is no masked-diffusion model, or brings code of
            its own that the caller did not allow.
    """
    shared = {name: hf_kwargs[name] for name in CHECKPOINT_ARGUMENTS if name in hf_kwargs}
    named = given_family(family)
    config = written_config(path_or_id, shared)
    found = named or family_of_dict(config)
    if found is None:
        raise ModelError(
            f"{path_or_id!r} has model type {config.get('model_type')!r} and is not known as a"
            ' masked-diffusion model; if it is one, name its conventions: family="LLaDA"'
        )
    if config.get("auto_map") and not trust_remote_code:
        raise ModelError(
            f"{path_or_id!r} ({found.name}) brings Python code of its own, which is not run unless"
            " you say so: read it, then load it with trust_remote_code=True, best with revision="
            " set to the commit that you have read"
        )
    if found.remote_code and not config.get("auto_map"):
        raise ModelError(f"{path_or_id!r} is of the family {found.name}, but its code is missing")
    return _loaded(path_or_id, found, trust_remote_code, shared, hf_kwargs)


def written_config(path_or_id: str, shared: dict[str, Any]) -> dict[str, Any]:
    """The configuration as it is written: nothing of the checkpoint is run.

    Raises:
        ModelError: it cannot be found or read.
    """
    from transformers import PretrainedConfig

    try:
        found, _ = PretrainedConfig.get_config_dict(path_or_id, **shared)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot load {path_or_id!r}: {error}") from error
    return dict(found)


def family_of_dict(config: dict[str, Any]) -> Family | None:
    """The family of a configuration as it is written."""
    from transformers import PretrainedConfig

    view = PretrainedConfig()
    view.model_type = str(config.get("model_type") or "")  # type: ignore[misc]
    view.architectures = config.get("architectures")
    view.auto_map = config.get("auto_map")
    return family_of(view)


def default_dtype(placed: bool) -> torch.dtype | str:
    """The dtype of weights where the caller names none; `placed`: a `device_map` was given."""
    return "auto" if placed or torch.cuda.is_available() else torch.float32


def _loaded(
    path_or_id: str,
    family: Family,
    trusted: bool,
    shared: dict[str, Any],
    hf_kwargs: dict[str, Any],
) -> DiffusionAdapter:
    import transformers

    placed = "device_map" in hf_kwargs
    hf_kwargs.setdefault("dtype", default_dtype(placed))
    # A refusal is said too: transformers would ask at the terminal where a tokenizer brings code.
    consent = {"trust_remote_code": trusted}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path_or_id, **shared, **consent)
        loader = getattr(transformers, family.auto_class)
        model = loader.from_pretrained(path_or_id, **hf_kwargs, **consent)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"cannot load {path_or_id!r}: {error}") from error
    if torch.cuda.is_available() and not placed:
        model = model.to(torch.device("cuda"))
    return DiffusionAdapter(model, tokenizer, family=family)
