"""Arrays that take long to make, kept on disk between processes."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Names the folder; empty: nothing is kept.
VARIABLE = "GUIDED_CACHE_DIR"
#: Most bytes of all files together; the ones that were not used for longest go first.
LIMIT = 256 * 2**20
#: Seconds after which a half-written file belongs to no process any more: it was killed.
_ABANDONED = 3600


def folder() -> Path | None:
    """Where arrays are kept; None if the user wants none kept."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return Path(given) if given else None
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "guided"
    except RuntimeError:
        # No home directory is known.
        return None


def load(name: str) -> dict[str, NDArray[Any]] | None:
    """The arrays that were kept under a name; None if there are none, or no whole ones."""
    where = folder()
    if where is None:
        return None
    path = where / f"{name}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # a folder that is read-only is as good to read
    return arrays


def save(name: str, arrays: Mapping[str, Any]) -> None:
    """Keeps arrays under a name; does nothing where the folder cannot be written.

    Other processes find either all of them or none.
    """
    where = folder()
    if where is None:
        return
    with contextlib.suppress(OSError):
        where.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=where, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays)
            os.replace(made, where / f"{name}.npz")
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(made)
            raise
        trim(where)


def trim(where: Path) -> None:
    """Removes the files that were not used for longest until the rest is within the limit."""
    for path in where.glob("*.part"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()
    found = []
    for path in (*where.glob("*.npz"), *where.glob("*.blocks")):
        with contextlib.suppress(OSError):
            facts = path.stat()
            found.append((facts.st_mtime, facts.st_size, path))
    total = 0
    for _, size, path in sorted(found, reverse=True):
        total += size
        if total > LIMIT:
            with contextlib.suppress(OSError):
                path.unlink()
