"""Tables and positions that follow a canvas: what is cut off, and what a unit now holds."""

from __future__ import annotations

import numpy as np

from guided.kernels.canvas_arrays import BYTE, MASK, N_ROWS
from guided.kernels.canvas_blocks import PER_WORD
from guided.kernels.canvas_ends import N_TAILS, RIGHT_DONE
from guided.kernels.canvas_origins import LEFT_DONE, N_ENTRIES
from guided.kernels.compiling import entry, lean, lean_entry

_ONE = np.uint64(1)


@lean
def _keep(blocks, lat, begin, end, first, last):  # type: ignore[no-untyped-def]
    """Leaves rows at main positions `begin` to `end` and mids of units `first` to `last` only."""
    if len(blocks.state) == 0:
        return
    kept = blocks.kept
    for word in range(len(kept)):
        kept[word] = 0
    for p in range(begin, end):
        place = lat.id[p]
        kept[place >> 6] |= _ONE << np.uint64(place & 63)
    for unit in range(first, last):
        if lat.may_mid[unit]:
            for mid in range(lat.mid.shape[1]):
                place = lat.mid[unit, mid]
                if place >= 0:
                    kept[place >> 6] |= _ONE << np.uint64(place & 63)
    cut_to(blocks)


@lean
def cut_to(blocks):  # type: ignore[no-untyped-def]
    """Leaves rows at the positions `blocks.kept` only, and unions over these."""
    for who in range(len(blocks.state)):
        for word in range(len(blocks.kept)):
            blocks.has[who, word] &= blocks.kept[word]
            gone = ~blocks.kept[word]
            for block in range(word * PER_WORD, (word + 1) * PER_WORD):
                if blocks.covered[who, block] & gone:
                    blocks.covered[who, block] = 0


@lean_entry
def cut_left(table, lat, boundary):  # type: ignore[no-untyped-def]
    """Keeps what is done up to a boundary, -1: nothing."""
    table.size[LEFT_DONE] = boundary
    table.size[N_ROWS] = table.mark[boundary, 0] if boundary >= 0 else 0
    table.size[N_ENTRIES] = table.mark[boundary, 1] if boundary >= 0 else 0
    end = np.int64(lat.main[boundary]) + 1 if boundary >= 0 else np.int64(0)
    _keep(table.blocks, lat, np.int64(0), end, np.int64(0), boundary)


@lean_entry
def cut_right(table, lat, boundary):  # type: ignore[no-untyped-def]
    """Keeps what is done from a boundary on, one behind the last: nothing."""
    count = len(lat.main) - 1
    rows = np.int64(table.mark[boundary, 0]) if boundary <= count else np.int64(0)
    tails = np.int64(table.mark[boundary, 1]) if boundary <= count else np.int64(0)
    for i in range(tails, table.size[N_TAILS]):
        table.tails[table.tail[i, 0], table.tail[i, 1]] = 0
    table.size[RIGHT_DONE] = boundary
    table.size[N_ROWS] = rows
    table.size[N_TAILS] = tails
    end = np.int64(lat.main[count]) + 1
    begin = np.int64(lat.main[boundary]) if boundary <= count else end
    _keep(table.blocks, lat, begin, end, boundary, np.int64(count))


@entry
def arrange(lat, unit, length, data, numbers, masked):  # type: ignore[no-untyped-def]
    """Puts the main positions of a unit in the place of the `length` that it has.

    `data` uint8[n] are its bytes (any one where it is `masked`), `numbers` int32[n - 1] those of
    the positions between them. What stands before it may be a gap or not, as before.
    """
    last = len(lat.main) - 1
    begin = np.int64(lat.main[unit])
    more = len(data) - length
    if more > 0:
        for p in range(lat.main[last], begin + length - 1, -1):
            _move(lat, p, p + more)
    elif more < 0:
        for p in range(begin + length, lat.main[last] + 1):
            _move(lat, p, p + more)
    for boundary in range(unit + 1, last + 1):
        lat.main[boundary] += more
    for k in range(len(data)):
        lat.kind[begin + k] = MASK if masked else BYTE
        lat.byte[begin + k] = data[k]
        lat.unit[begin + k] = unit
        if k > 0:
            lat.loop[begin + k] = 0
            lat.id[begin + k] = numbers[k - 1]


@lean
def _move(lat, source, target):  # type: ignore[no-untyped-def]
    lat.kind[target] = lat.kind[source]
    lat.byte[target] = lat.byte[source]
    lat.loop[target] = lat.loop[source]
    lat.id[target] = lat.id[source]
    lat.unit[target] = lat.unit[source]
