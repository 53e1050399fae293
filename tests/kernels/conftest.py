"""Every way in which a kernel is written, each on a device where it can run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch

from guided.kernels.dispatch import Implementation, has_triton, using

CUDA = torch.cuda.is_available()


class Way(NamedTuple):
    """An implementation and the device it is tested on."""

    implementation: Implementation
    device: torch.device


def ways() -> list[pytest.ParameterSet]:  # type: ignore[name-defined]
    named = [("torch", "cpu"), ("numba", "cpu"), ("triton", "cuda" if CUDA else "cpu")]
    named += [("torch", "cuda")] if CUDA else []
    missing = pytest.mark.skipif(not has_triton(), reason="Triton is not installed")
    return [
        pytest.param(
            Way(Implementation(name), torch.device(device)),
            id=f"{name}-{device}",
            marks=[missing] * (name == "triton") + [pytest.mark.gpu] * (device == "cuda"),
        )
        for name, device in named
    ]


@pytest.fixture(params=ways())
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """Within the test every kernel runs in this way."""
    chosen: Way = request.param
    with using(chosen.implementation):
        yield chosen
