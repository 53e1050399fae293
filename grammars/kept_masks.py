"""What the masks of one vocabulary have in common, over all grammars and positions."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from guided.grammars.block_store import BlockStore
from guided.grammars.fork_safe import PARSER, fork_safe
from guided.kernels.masking import same_words

#: Bytes of the blocks, and of the masks, that one vocabulary keeps.
LIMIT = 128 << 20

Block = NDArray[np.int32]


class KeptMasks:
    """Masks and blocks of one vocabulary by what they depend on. Thread-safe.

    A block holds the tokens inside of one terminal (see kernels.wide_masks). Who uses one keeps it.

    Args:
        store: where blocks outlive the process.
    """

    def __init__(self, n_words: int, limit: int = LIMIT, store: BlockStore | None = None) -> None:
        self.n_words = n_words
        self._store = store
        #: Whether common_masks has been here.
        self.has_common = False
        self._limit = limit
        self._blocks: OrderedDict[Hashable, Block] = OrderedDict()
        self._masks: OrderedDict[int, Block] = OrderedDict()
        self._block_bytes = 0
        self._lock = fork_safe(threading.Lock(), PARSER)
        self._rooms = threading.local()

    @property
    def n_bytes(self) -> int:
        """Bytes that blocks and masks take."""
        return self._block_bytes + len(self._masks) * 4 * self.n_words

    def room(self, length: int | None = None) -> Block:
        """Room for a mask, or for so many numbers: this thread's, until it asks again."""
        # New memory costs more than filling it.
        rooms: dict[int, Block] | None = getattr(self._rooms, "by_length", None)
        if rooms is None:
            rooms = self._rooms.by_length = {}
        length = self.n_words if length is None else length
        found = rooms.get(length)
        if found is None:
            found = rooms[length] = np.empty(length, np.int32)
        return found

    def block(self, key: Hashable) -> Block | None:
        """The block of a terminal's state, None if there is none."""
        with self._lock:
            found = self._blocks.get(key)
            if found is not None:
                self._blocks.move_to_end(key)
                return found
        if self._store is not None:
            found = self._store.load(key)
            if found is not None:
                self._remember(key, found)
        return found

    def keep_block(self, key: Hashable, block: Block) -> None:
        """Keeps a block; those that were not used for longest go."""
        self._remember(key, block)
        if self._store is not None:
            self._store.save(key, block)

    def _remember(self, key: Hashable, block: Block) -> None:
        with self._lock:
            before = self._blocks.pop(key, None)
            self._block_bytes += block.nbytes - (0 if before is None else before.nbytes)
            self._blocks[key] = block
            while self._block_bytes > self._limit:
                _, old = self._blocks.popitem(last=False)
                self._block_bytes -= old.nbytes

    def mask(self, words: Block, content: int) -> Block:
        """A read-only mask equal to `words`, whose hash is `content`: an old one, or a copy."""
        known = self._masks.get(content)
        if known is not None and same_words(known, words):
            return known
        mask = words.copy()
        mask.flags.writeable = False
        with self._lock:
            self._masks[content] = mask
            while len(self._masks) * 4 * self.n_words > self._limit:
                self._masks.popitem(last=False)
        return mask
