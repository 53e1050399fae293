"""The whole run: several processes share the processor's cores."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """In every process that runs tests: how many threads there are, and where Triton runs."""
    if hasattr(config, "workerinput"):
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
            os.environ[name] = "1"
    elif config.getoption("numprocesses", None):
        return
    import torch

    if hasattr(config, "workerinput"):
        torch.set_num_threads(1)
    if not torch.cuda.is_available():
        # Without a GPU, Triton's kernels run in its interpreter. It reads this when it is imported,
        # which other tests may do.
        os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="session", autouse=True)
def _own_disk_cache() -> Iterator[None]:
    """Nothing is written into the user's folders."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GUIDED_CACHE_DIR", folder)
        yield
