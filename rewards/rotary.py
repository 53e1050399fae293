"""Finds rotary buffers that were not filled when a model was loaded, and fills them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from guided.errors import ModelError

_TABLES = ("cos_cached", "sin_cached", "_cos_cached", "_sin_cached")


def repair_rotary(model: Any) -> list[str]:
    """Names of the rotary modules whose frequencies were wrong and have been computed again.

    Such buffers are not part of a checkpoint; code that was written for older versions of
    transformers leaves them at zero, or at whatever the memory held.

    Raises:
        ModelError: frequencies that are wrong and cannot be computed from the configuration.
    """
    repaired = []
    for name, module in _rotary_modules(model):
        found, right = module.inv_freq, _frequencies(module, model.config)
        if not _is_wrong(found, right):
            continue
        if right is None or right.shape != found.shape:
            raise ModelError(
                f"the rotary frequencies {name}.inv_freq were not loaded (they are "
                f"{found.flatten()[:3].tolist()}, …) and the configuration does not say how to "
                "compute them; every score would be without meaning"
            )
        _fill(module, right)
        repaired.append(name)
    return repaired


def _rotary_modules(model: Any) -> Iterator[tuple[str, Any]]:
    for name, module in model.named_modules():
        if isinstance(getattr(module, "inv_freq", None), Tensor):
            yield name, module


def _is_wrong(found: Tensor, right: Tensor | None) -> bool:
    if found.is_meta or not bool(found.isfinite().all()) or not bool(found.any()):
        return True
    if right is None or right.shape != found.shape:
        return False
    # Half precision is a fault of its own, but a smaller one.
    return not torch.allclose(found.double().cpu(), right, rtol=0.02, atol=0)


def _frequencies(module: Any, config: Any) -> Tensor | None:
    """The frequencies `[n]` of plain rotary embeddings; None for other kinds, which are scaled."""
    base = _plain_base(config)
    if base is None:
        return None
    width = 2 * module.inv_freq.shape[-1]
    return torch.tensor([base ** (-at / width) for at in range(0, width, 2)], dtype=torch.float64)


def _plain_base(config: Any) -> float | None:
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    rope = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    base = rope.get("rope_theta", getattr(text, "rope_theta", None))
    if kind != "default" or not isinstance(base, int | float) or not math.isfinite(base):
        return None
    return float(base)


def _fill(module: Any, right: Tensor) -> None:
    device = module.inv_freq.device
    device = torch.device("cpu") if device.type == "meta" else device
    module.register_buffer("inv_freq", right.float().to(device), persistent=False)
    if isinstance(getattr(module, "original_inv_freq", None), Tensor):
        module.original_inv_freq = module.inv_freq
    # Older modules keep tables of cosines and sines, made from the frequencies.
    tables = [name for name in _TABLES if isinstance(getattr(module, name, None), Tensor)]
    for name in tables:
        table = getattr(module, name)
        angles = torch.outer(torch.arange(table.shape[-2], device=device).float(), module.inv_freq)
        both = torch.cat([angles, angles], -1)
        made = both.cos() if "cos" in name else both.sin()
        setattr(module, name, made.to(table.dtype).reshape(table.shape))
