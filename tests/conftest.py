"""The whole run: several processes share the processor's cores."""

from __future__ import annotations

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """One thread in every process where there are several, in those that they start too."""
    if not hasattr(config, "workerinput"):
        return
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = "1"
    import torch

    torch.set_num_threads(1)
