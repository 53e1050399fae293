"""The whole run: several processes share the processor's cores."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """One thread in every process where there are several, in those that they start too."""
    if not hasattr(config, "workerinput"):
        return
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = "1"
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_disk_cache() -> Iterator[None]:
    """Nothing is written into the user's folders."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GUIDED_CACHE_DIR", folder)
        yield
