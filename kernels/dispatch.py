"""Which implementation of a kernel runs: numba on CPUs, Triton on CUDA, torch elsewhere."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from functools import cache
from typing import Any

import torch


class Implementation(StrEnum):
    """How a kernel is written. `TORCH` is the reference and runs anywhere."""

    TORCH = "torch"
    NUMBA = "numba"
    TRITON = "triton"


_FASTEST = {"cpu": Implementation.NUMBA, "cuda": Implementation.TRITON}
#: The types of devices that were asked about: torch makes a text of it every time.
_KINDS: dict[torch.device, str] = {}
_override: ContextVar[Implementation | None] = ContextVar("implementation", default=None)


@cache
def has_triton() -> bool:
    """Whether Triton can be imported; nothing else of it is needed before a kernel runs."""
    return importlib.util.find_spec("triton") is not None


def implementation(device: torch.device) -> Implementation:
    """The implementation for tensors on `device`, or the one that `using` asks for."""
    forced = _override.get()
    if forced is not None:
        return forced
    kind = _KINDS.get(device)
    if kind is None:
        kind = _KINDS[device] = device.type
    fastest = _FASTEST.get(kind, Implementation.TORCH)
    if fastest is Implementation.TRITON and not has_triton():
        return Implementation.TORCH
    return fastest


def on_cpu() -> Implementation:
    """The implementation for what is on a CPU; as `implementation`, which asks torch."""
    return _override.get() or Implementation.NUMBA


@contextmanager
def using(chosen: Implementation) -> Iterator[None]:
    """Within it, every kernel of this thread runs as `chosen`. For tests and comparisons."""
    token = _override.set(chosen)
    try:
        yield
    finally:
        _override.reset(token)


def triton_kernel(module: str, name: str) -> Any:
    """A function of `guided.kernels.triton.<module>`, which is imported on its first use."""
    return getattr(importlib.import_module(f"guided.kernels.triton.{module}"), name)
