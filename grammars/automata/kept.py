"""Automata that take long to make, kept on disk between processes."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from guided.grammars import disk_cache
from guided.grammars.automata.dfa import Dfa, restored

#: Raised whenever what is kept would no longer be what is made.
FORMAT = 1
_ARRAY = "automaton"


def kept(source: str, make: Callable[[], Dfa]) -> Dfa:
    """What `make` returns, from disk where it was kept; `source` says all that it depends on."""
    name = f"automaton-{FORMAT}-{blake2b(source.encode(), digest_size=16).hexdigest()}"
    found = _unpacked(disk_cache.load(name))
    if found is None:
        found = make()
        disk_cache.save(name, {_ARRAY: _packed(found)})
    return found


def _packed(dfa: Dfa) -> NDArray[np.int32]:
    head = np.array(dfa.transitions.shape, np.int32)
    parts = (head, dfa.classes, dfa.accepting, dfa.distance, dfa.transitions.reshape(-1))
    return np.concatenate([part.astype(np.int32) for part in parts])


def _unpacked(arrays: dict[str, NDArray[np.int32]] | None) -> Dfa | None:
    """The automaton of what was kept; None where that is none."""
    if arrays is None or set(arrays) != {_ARRAY}:
        return None
    data = arrays[_ARRAY]
    if data.dtype != np.int32 or data.ndim != 1 or len(data) < 2:
        return None
    n, k = data[:2].tolist()
    if n < 1 or not 1 <= k <= 256 or len(data) != 2 + 256 + 2 * n + n * k:
        return None
    classes, accepting, distance, table = np.split(data[2:], np.cumsum([256, n, n]))
    if not (classes.min() >= 0 and classes.max() < k and table.min() >= -1 and table.max() < n):
        return None
    return restored(
        table.reshape(n, k).copy(), classes.astype(np.uint8), accepting != 0, distance.copy()
    )
