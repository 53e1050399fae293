"""What the masks of one vocabulary have in common, over all grammars and positions."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np

from guided.grammars.block_store import BlockStore
from guided.grammars.fork_safe import PARSER, fork_safe
from guided.grammars.known_index import (
    MOST_MASKS,
    Block,
    BlockIndex,
    KernelRooms,
    MaskIndex,
    Record,
)
from guided.kernels.mask_batches import same_words

if TYPE_CHECKING:
    from guided.grammars.mask_work import Work

#: Bytes of the blocks, and of the masks, that one vocabulary keeps.
LIMIT = 128 << 20


class KeptMasks:
    """Masks and blocks of one vocabulary by what they depend on. Thread-safe.

    A block holds the tokens inside of one terminal (see kernels.wide_masks). Who uses one keeps it.
    Kernels find both by the indices, between `enter` and `leave`.

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
        self._block_bytes = 0
        self.masks = MaskIndex()
        self.index = BlockIndex()
        # Kernels that run, and what they may still read, by the count of retirements before.
        self._process = os.getpid()
        self._epoch = 0
        self._running: dict[int, int] = {}
        self._retired: deque[tuple[int, object]] = deque()
        self._lock = fork_safe(threading.Lock(), PARSER)
        self._rooms = threading.local()

    @property
    def n_bytes(self) -> int:
        """Bytes that blocks and masks take."""
        return self._block_bytes + len(self.masks.masks) * 4 * self.n_words

    def kernel_rooms(self) -> KernelRooms:
        """What kernels of this thread write to."""
        found: KernelRooms | None = getattr(self._rooms, "of_kernels", None)
        if found is None:
            found = self._rooms.of_kernels = KernelRooms(self.n_words)
        return found

    def works(self) -> dict[int, Work]:
        """Room for jobs of this thread, by their number."""
        found: dict[int, Work] | None = getattr(self._rooms, "works", None)
        if found is None:
            found = self._rooms.works = {}
        return found

    def room(self, length: int) -> Block:
        """Room for so many numbers: this thread's, until it asks again."""
        # New memory costs more than filling it.
        rooms: dict[int, Block] | None = getattr(self._rooms, "by_length", None)
        if rooms is None:
            rooms = self._rooms.by_length = {}
        found = rooms.get(length)
        if found is None:
            found = rooms[length] = np.empty(length, np.int32)
        return found

    def enter(self) -> tuple[BlockIndex, int]:
        """Before kernels read the indices: (that of blocks as it is, what `leave` is told)."""
        with self._lock:
            if self._process != os.getpid():
                # The threads of the parent are not here.
                self._process, self._running = os.getpid(), {}
            running, epoch = self._running, self._epoch
            running[epoch] = running.get(epoch, 0) + 1
            return self.index, epoch

    def leave(self, epoch: int) -> None:
        """When what kernels have found in the indices is held by those who need it."""
        with self._lock:
            running = self._running
            left = running[epoch] - 1
            if left:
                running[epoch] = left
            else:
                del running[epoch]
            if not self._retired:
                return
            oldest = min(running, default=self._epoch)
            while self._retired and self._retired[0][0] < oldest:
                self._retired.popleft()

    def _retire(self, old: object) -> None:
        """Keeps what has gone from an index until no kernel may read it any more."""
        if self._running:
            self._retired.append((self._epoch, old))
            self._epoch += 1

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
                self._begin_index()

    def _begin_index(self) -> None:
        # A block that has gone must not stay in the index.
        if self.index.blocks:
            self._retire(self.index)
            self.index = BlockIndex()

    def index_block(self, record: Record, block: Block) -> None:
        """Has kernels find the block of a state by its record."""
        with self._lock:
            if self.index.is_full:
                self._begin_index()
            self.index.put(record, block)

    def mask(self, words: Block, content: int) -> Block:
        """A read-only mask equal to `words`, whose hash is `content`: an old one, or `words`."""
        words.flags.writeable = False
        with self._lock:
            masks = self.masks
            slot = masks.place(content)
            known = masks.masks.get(slot)
            if known is not None:
                if same_words(known, words):
                    return known
                self._retire(known)
            masks.put(slot, content, words)
            while len(masks.masks) > min(MOST_MASKS, self._limit // (4 * self.n_words)):
                self._retire(masks.drop_oldest())
        return words
