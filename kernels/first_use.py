"""Tells the user why the very first call takes long: kernels are compiled once per machine."""

from __future__ import annotations

import sys
from pathlib import Path

from numba import njit

#: The kernel that is compiled last on the way to a first mask.
MASKS = "mask_batches.compute_masks-*.nbi"
#: And on the way to the first verdict about a canvas.
CANVASES = "canvas_check.check_bytes-*.nbi"


@njit(cache=True)
def _probe(value):  # type: ignore[no-untyped-def]
    return value


def is_compiled(last: str = MASKS) -> bool:
    """Whether the compiled kernels are in numba's cache on disk, `last` (a pattern) among them."""
    path = Path(_probe.stats.cache_path or ".")
    return any(path.glob(last))


def announce(last: str = MASKS, what: str = "kernels") -> None:
    """Prints one line to standard error if the kernels have yet to be compiled."""
    if not is_compiled(last):
        print(
            f"guided: compiling {what} for this machine, a minute or two, this once ...",
            file=sys.stderr,
            flush=True,
        )
