"""Packed masks kept on a device: one that was drawn under before is not sent there again.

Rows of a batch stand in few different states of their grammars, and come back to them. New masks
travel on a stream of their own while the device is still busy with the forward pass.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from guided.kernels.mask_apply_cpu import first_two

Mask = NDArray[np.int32]

#: Bytes that the masks of one table take at first, and those of all tables together at most.
FIRST_BYTES = 4 << 20
LIMIT = 64 << 20
_LEAST = 16


class MaskTable:
    """Masks of `words` int32 words on one device, known by the arrays that they came from.

    Only read-only arrays are known again; the table holds on to them. Thread-safe.
    """

    def __init__(self, device: torch.device, words: int) -> None:
        self._device = device
        self._words = words
        self._lock = threading.Lock()
        # By the identity of an array: its row, whether it allows one token only, the array.
        self._known: dict[int, tuple[int, bool, Mask]] = {}
        self._used = 0
        # torch does not type streams and their events.
        cuda: Any = torch.cuda
        self._stream: Any = cuda.Stream(device) if device.type == "cuda" else None
        # When the last of the masks that were sent have arrived.
        self._sent: Any = None
        self._make_room(max(_LEAST, FIRST_BYTES // (4 * words)))

    @property
    def n_bytes(self) -> int:
        """Bytes on the device."""
        return self._rows.numel() * 4

    def take(self, masks: Sequence[Mask]) -> tuple[Tensor, list[bool]]:
        """(the masks, int32 `[n, words]` on the device; whether each allows one token only)."""
        with self._lock:
            found = [self._known.get(id(mask)) for mask in masks]
            if None in found:
                found = self._with_new(masks)
            if self._sent is not None:
                # Whoever draws, on whatever stream, waits for what others have sent, too.
                torch.cuda.current_stream(self._device).wait_event(self._sent)
            places = torch.tensor([entry[0] for entry in found if entry])
            # Nothing waits for the forward pass yet.
            rows = self._rows[places.to(self._device, non_blocking=True)]
            return rows, [entry[1] for entry in found if entry]

    def _with_new(self, masks: Sequence[Mask]) -> list[tuple[int, bool, Mask] | None]:
        """Sends those that are not known; all entries."""
        new = {id(mask): mask for mask in masks if id(mask) not in self._known}
        if self._used + len(new) > len(self._rows):
            self._start_afresh(len({id(mask) for mask in masks}))
            new = {id(mask): mask for mask in masks}
        first = self._used
        self._send(list(new.values()), first)
        self._used += len(new)
        entries = {
            key: (first + number, _allows_one(mask), mask)
            for number, (key, mask) in enumerate(new.items())
        }
        self._known |= {
            key: entry for key, entry in entries.items() if not entry[2].flags.writeable
        }
        return [entries.get(id(mask)) or self._known[id(mask)] for mask in masks]

    def _send(self, masks: Sequence[Mask], first: int) -> None:
        """Copies masks to the rows from `first` on."""
        if self._sent is not None:
            # The last masks may still be on their way out of the memory that is written to now.
            self._sent.synchronize()
        for number, mask in enumerate(masks):
            self._staged_array[first + number] = mask
        last = first + len(masks)
        if self._stream is None:
            self._rows[first:last] = self._staged[first:last]
            return
        with torch.cuda.stream(self._stream):
            self._rows[first:last].copy_(self._staged[first:last], non_blocking=True)
            self._sent = self._stream.record_event()

    def _start_afresh(self, wanted: int) -> None:
        """Forgets all masks; there is room for twice as many as are `wanted` at once."""
        self._known, self._used = {}, 0
        if self._stream is not None:
            # What was asked of the old rows must be done before they are written to.
            torch.cuda.synchronize(self._device)
        if 2 * wanted > len(self._rows):
            self._make_room(2 * wanted)

    def _make_room(self, rows: int) -> None:
        shape = rows, self._words
        self._rows = torch.zeros(shape, dtype=torch.int32, device=self._device)
        self._staged = torch.zeros(shape, dtype=torch.int32, pin_memory=self._stream is not None)
        self._staged_array = self._staged.numpy()
        self._sent = None
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(self._device))


def _allows_one(mask: Mask) -> bool:
    first, second = first_two(mask)
    return bool(first >= 0 and second < 0)


_tables: OrderedDict[tuple[torch.device, int], MaskTable] = OrderedDict()
_lock = threading.Lock()


def mask_table(device: torch.device, words: int) -> MaskTable:
    """The table of masks of so many words on a device; the oldest ones make room for it."""
    with _lock:
        found = _tables.pop((device, words), None) or MaskTable(device, words)
        _tables[device, words] = found
        while len(_tables) > 1 and n_bytes() > LIMIT:
            _tables.popitem(last=False)
    return found


def n_bytes() -> int:
    """Bytes that all tables take on their devices."""
    return sum(table.n_bytes for table in _tables.values())
