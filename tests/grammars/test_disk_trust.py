"""The folder of kept arrays when things go wrong: whole files or none, right answers always."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from guided.grammars import disk_cache

ROOT = Path(__file__).parents[2]
ARRAYS = {
    "node": np.arange(700, dtype=np.int32).reshape(100, 7),
    "mask": np.arange(64, dtype=np.uint64),
    "flags": np.arange(50) % 3 == 0,
}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(disk_cache.VARIABLE, str(tmp_path))
    return tmp_path


def is_whole(found: object) -> bool:
    return (
        isinstance(found, dict)
        and found.keys() == ARRAYS.keys()
        and all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)
    )


def test_a_file_that_was_changed_anywhere_is_whole_or_not_there(kept: Path) -> None:
    disk_cache.save("x", ARRAYS)
    path, rng = kept / "x.npz", random.Random(4)
    whole = path.read_bytes()
    lost = 0
    for number in range(400):
        damaged = bytearray(whole)
        if number % 4 == 0:
            del damaged[rng.randrange(len(whole)) :]
        else:
            for _ in range(rng.randint(1, 3)):
                damaged[rng.randrange(len(whole))] = rng.randrange(256)
        path.write_bytes(damaged)
        found = disk_cache.load("x")
        assert found is None or is_whole(found), number
        lost += found is None
    assert lost > 200
    disk_cache.save("x", ARRAYS)
    assert is_whole(disk_cache.load("x"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_keeps_what_was_there_and_is_no_error(
    kept: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    disk_cache.save("x", ARRAYS)

    def full(file: object, **arrays: object) -> None:
        file.write(b"half of it")  # type: ignore[attr-defined]
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(np, "savez", full)
    disk_cache.save("x", {"other": np.zeros(3)})
    disk_cache.save("y", {"other": np.zeros(3)})
    assert [path.name for path in kept.iterdir()] == ["x.npz"]
    assert is_whole(disk_cache.load("x"))
    assert disk_cache.load("y") is None


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_folder_that_is_read_only_is_read(
    kept: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    disk_cache.save("x", ARRAYS)

    def refuse(*given: object, **named: object) -> None:
        raise OSError(code, os.strerror(code))

    for module, name in ((tempfile, "mkstemp"), (os, "utime"), (os, "replace"), (os, "unlink")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    disk_cache.save("y", ARRAYS)
    assert is_whole(disk_cache.load("x"))
    assert disk_cache.load("y") is None


KILLED = """
import os, signal
import numpy as np
from guided.grammars import disk_cache
whole = np.savez
def killed(file, **arrays):
    whole(file, **arrays)
    file.seek(300)
    file.truncate()
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
np.savez = killed
disk_cache.save("x", {"node": np.arange(5000)})
"""


def test_a_process_that_is_killed_while_it_writes_leaves_no_half_file(kept: Path) -> None:
    assert run(KILLED).returncode == -9
    assert disk_cache.load("x") is None
    (left,) = kept.iterdir()
    assert left.suffix == ".part"
    disk_cache.save("x", ARRAYS)
    assert is_whole(disk_cache.load("x"))
    # It may belong to a process that still writes; an old one does not.
    assert left.exists()
    os.utime(left, (time.time() - 7200, time.time() - 7200))
    disk_cache.save("y", ARRAYS)
    assert sorted(path.name for path in kept.iterdir()) == ["x.npz", "y.npz"]


SHARED = """
import hashlib, sys
from guided.grammars import disk_cache, vocabulary
from guided.grammars.json_schema import json_schema
from tests.grammars.trust_subjects import vocabulary as tokens, walk
vocabulary._LARGE = 1
disk_cache.LIMIT = 60_000  # so small that each removes what the others have made
digest = hashlib.sha256()
for n in range(4):
    words = tokens()
    words = type(words).from_tokens([*words.tokens[:-1], b"w%d" % (n % 3), None], [words.size])
    for mask in walk(json_schema({"maxItems": n, "minimum": n, "format": "date-time"}), words, n):
        digest.update(mask)
print(digest.hexdigest())
"""


def test_processes_that_share_a_folder_get_the_masks_of_one_alone(kept: Path) -> None:
    started = [start(SHARED) for _ in range(3)]
    found = []
    for process in started:
        out, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
        found.append(out)
    alone = run(SHARED, {disk_cache.VARIABLE: ""})
    assert alone.returncode == 0, alone.stderr
    assert found == [alone.stdout] * 3
    assert not list(kept.glob("*.part"))


def start(code: str, more: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **(more or {})},
    )  # fmt: skip


def run(code: str, more: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    process = start(code, more)
    out, error = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)
