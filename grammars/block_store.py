"""Blocks of kept masks on disk, where they outlive the process: one file for each vocabulary."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from guided.grammars.record_store import RecordStore, hash_of_code
from guided.kernels import wide_masks

Block = NDArray[np.int32]

#: The code that blocks and their keys depend on.
_KERNELS = (
    "alike_states.py",
    "handles.py",
    "liveness.py",
    "mask_ends.py",
    "memo_arrays.py",
    "subtrees.py",
    "trie.py",
    "wide_masks.py",
)
_GRAMMARS = ("memo.py", "token_engine.py", "token_tries.py")


@cache
def code_version() -> str | None:
    """A hash of the code that makes blocks; None if it is not there."""
    kernels, grammars = Path(str(wide_masks.__file__)).parent, Path(__file__).parent
    return hash_of_code((*map(kernels.joinpath, _KERNELS), *map(grammars.joinpath, _GRAMMARS)))


class BlockStore:
    """The blocks of one vocabulary that some process has made before. Thread-safe.

    Args:
        name: tells the vocabulary and what else blocks depend on from others.
    """

    def __init__(self, name: str) -> None:
        self._records = RecordStore("blocks", lambda: code_version(), name)

    def load(self, key: object) -> Block | None:
        """The block of a key; None where no whole one is on disk."""
        data = self._records.load(key)
        return None if data is None or len(data) % 4 else np.frombuffer(data, np.int32)

    def save(self, key: object, block: Block) -> None:
        """Has a block written soon, by another thread."""
        self._records.save(key, block.tobytes())

    def flush(self) -> None:
        """Writes what is not written yet."""
        self._records.flush()
