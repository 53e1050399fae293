"""The line that explains the first, slow call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from guided.kernels import first_use


def test_a_cold_cache_is_announced_once(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", "import guided.kernels"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stderr.count("compiling kernels") == 1


def test_a_warm_cache_is_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(first_use, "is_compiled", lambda last: True)
    first_use.announce()
    assert capsys.readouterr().err == ""
