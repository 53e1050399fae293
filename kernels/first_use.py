"""Tells the user why the very first call takes long: kernels are compiled once per machine."""

from __future__ import annotations

import sys
from pathlib import Path

from numba import njit

#: The kernel that is compiled last on the way to a first mask.
_LAST = "masking.compute_mask-*.nbi"


@njit(cache=True)
def _probe(value):  # type: ignore[no-untyped-def]
    return value


def is_compiled() -> bool:
    """Whether the compiled kernels are in numba's cache on disk."""
    path = Path(_probe.stats.cache_path or ".")
    return any(path.glob(_LAST))


def announce() -> None:
    """Prints one line to standard error if the kernels have yet to be compiled."""
    if not is_compiled():
        print(
            "guided: compiling kernels for this machine, about a minute, this once ...",
            file=sys.stderr,
            flush=True,
        )
