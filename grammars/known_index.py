"""What kernels find by themselves: indices of masks and blocks, and when memory may go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from guided.kernels.known_blocks import (
    ENTRY,
    LONGEST_RECORD,
    MASK_ENTRY,
    PROBES,
    WAYS,
    write_record,
)
from guided.kernels.mask_batches import post
from guided.kernels.memo_arrays import MAX_DEPTH

if TYPE_CHECKING:
    from guided.grammars.memo import Parser

#: Entries of the index of masks, and of that of blocks.
MOST_MASKS, MOST_BLOCKS = 1 << 14, 1 << 10
#: Bytes of records beyond which the index of blocks is full.
MOST_BYTES = 16 << 20

Block = NDArray[np.int32]
#: What tells a state of an automaton: its hash, a key of the bytes, the bytes (int32 where the
#: automaton is large; see kernels.known_blocks).
Record = tuple[int, bytes, NDArray[Any]]


class KernelRooms:
    """Memory that kernels of one thread write to."""

    def __init__(self, n_words: int) -> None:
        self._rooms = (
            np.empty(4, np.int64),
            np.empty((7, MAX_DEPTH + 1), np.int64),
            np.empty(LONGEST_RECORD, np.uint8),
            np.empty(n_words, np.int32),
        )
        #: int64[N_ROOMS], their addresses.
        self.addresses = np.array([room.ctypes.data for room in self._rooms], np.int64)


class MaskIndex:
    """Masks by their hashes, for kernels; newer ones drive out older ones."""

    def __init__(self) -> None:
        self.table = np.zeros(MOST_MASKS * MASK_ENTRY, np.int64)
        self.address = int(self.table.ctypes.data)
        self._view = self.table.data
        #: By entry, the oldest first.
        self.masks: dict[int, Block] = {}

    def place(self, content: int) -> int:
        """The entry for a new mask with this hash: that of a mask with the same, or a free one."""
        first = (content & (MOST_MASKS // WAYS - 1)) * WAYS
        view, free = self._view, -1
        for slot in range(first, first + WAYS):
            if view[slot * MASK_ENTRY + 1] == 0:
                free = slot if free < 0 else free
            elif view[slot * MASK_ENTRY] == content:
                return slot
        return free if free >= 0 else first + (content >> 40) % WAYS

    def at(self, slot: int, address: int) -> Block | None:
        """The mask of an entry, unless it is not the one at this address any more."""
        found = self.masks.get(slot)
        return found if self._view[slot * MASK_ENTRY + 1] == address else None

    def put(self, slot: int, content: int, mask: Block) -> None:
        """Enters a mask; who sees its address (`at`) finds it."""
        address = int(mask.ctypes.data)
        self._view[slot * MASK_ENTRY + 1] = 0
        self.masks.pop(slot, None)
        self.masks[slot] = mask
        self._view[slot * MASK_ENTRY] = content
        post(self.table, slot * MASK_ENTRY + 1, address)

    def drop_oldest(self) -> Block:
        """Takes a mask out."""
        slot = next(iter(self.masks))
        self._view[slot * MASK_ENTRY + 1] = 0
        return self.masks.pop(slot)


class BlockIndex:
    """Blocks by the records of their states, for kernels; begun afresh when it is full."""

    def __init__(self) -> None:
        self.table = np.zeros(MOST_BLOCKS * ENTRY, np.int64)
        self.address = int(self.table.ctypes.data)
        #: By entry: the block, and where it is.
        self.blocks: dict[int, tuple[Block, int]] = {}
        # Records by their keys, with their addresses: many states of a large automaton share one.
        self._places: dict[bytes, tuple[int, NDArray[Any]]] = {}
        self._n_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether there is no use in more blocks."""
        return 2 * len(self.blocks) >= MOST_BLOCKS or self._n_bytes > MOST_BYTES

    def put(self, record: Record, block: Block) -> None:
        """Enters the block of a state; not where too many have hashes like it."""
        content, key, data = record
        for probe in range(PROBES):
            slot = (content + probe) & (MOST_BLOCKS - 1)
            if slot not in self.blocks:
                place = self._places.get(key)
                if place is None:
                    place = self._places[key] = int(data.ctypes.data), data
                    self._n_bytes += data.nbytes
                # That of a large automaton is int32.
                length = len(data) if data.dtype == np.uint8 else -len(data)
                self.blocks[slot] = block, int(block.ctypes.data)
                self.table[slot * ENTRY : slot * ENTRY + ENTRY - 1] = content, place[0], length
                # With the address of the block the entry counts.
                post(self.table, slot * ENTRY + ENTRY - 1, self.blocks[slot][1])
                return


def record_of(parser: Parser, lex: int, state: int, root: int) -> Record:
    """The record of a state of terminal `lex` at a node of the tries (-1: none)."""
    room = np.empty(LONGEST_RECORD, np.uint8)
    content, length = parser.call(write_record, lex, state, root, room)
    if length:
        small = room[:length].copy()
        return int(content), small.tobytes(), small
    large = np.concatenate(parser.automaton(lex), dtype=np.int32)
    return int(content), parser.content(lex, -1)[0], large
