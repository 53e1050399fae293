"""What is known about one canvas, by tables that it shares with the canvases that it came from."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from guided.grammars.canvas.room import OutOfRoom
from guided.grammars.canvas.slots import Layout
from guided.grammars.canvas.tables import Tables
from guided.kernels.canvas_arrays import FULL
from guided.kernels.canvas_check import TOO_LONG, check_bytes
from guided.kernels.canvas_origins import LEFT_DONE
from guided.kernels.direct_calls import Direct

__all__ = ["Chart", "OutOfRoom"]

_CHECK_BYTES = Direct(check_bytes)


class Chart:
    """One canvas's answers. Tables are filled as far as an answer needs them.

    Raises:
        OutOfRoom: by all answers, where the tables would take more room than allowed.
    """

    def __init__(self, tables: Tables, layout: Layout) -> None:
        self._tables = tables
        self._layout = layout

    @property
    def fillable(self) -> bool:
        """Whether the canvas can be filled."""
        tables = self._tables
        with tables.engine.lock:
            places = tables.become(self._layout)
            texts = places.units.texts
            done = min(tables.right_done, len(texts))
            unit = next((u for u in range(done - 1, -1, -1) if texts[u] is not None), None)
            if tables.right_done > len(texts) or unit is None:
                return self._first_end(len(texts)) is not None
            # What is right of it is known: it is as if this token were asked about.
            return self._allows(unit, unit + 1, texts[unit] or b"")

    @property
    def shortest(self) -> int | None:
        """The fewest slots that a text can fill, None where none fits."""
        with self._tables.engine.lock:
            places = self._tables.become(self._layout)
            end = self._first_end(len(places.units.texts))
            return None if end is None else places.units.unit_of.index(end)

    def ends_within(self, slot: int) -> bool:
        """Whether a text can end with the slot before `slot` or earlier."""
        with self._tables.engine.lock:
            places = self._tables.become(self._layout)
            return self._first_end(places.units.unit_of[slot]) is not None

    def allows(self, slot: int, data: bytes) -> bool:
        """Whether a token with these bytes may stand in a masked slot, or inside of a gap."""
        with self._tables.engine.lock:
            unit_of = self._tables.become(self._layout).units.unit_of
            return self._allows(unit_of[slot], unit_of[slot + 1], data)

    @property
    def has_all(self) -> bool:
        """Whether no mid was left out of account."""
        with self._tables.engine.lock:
            return self._tables.become(self._layout).has_all

    def _first_end(self, last: int) -> int | None:
        """The first boundary up to `last` with which a text can end."""
        tables = self._tables
        engine = tables.engine
        ends = tables.places.units.ends
        ends = ends[: bisect_right(ends, last)]
        done, step = 0, 1
        while done < len(ends):
            # Those that the table has come to or is likely to need, then more and more.
            likely = bisect_right(ends, engine.first_end) if not done else 0
            left = tables.left_upto(ends[min(max(done + step, likely), len(ends)) - 1])
            known = bisect_right(ends, int(left.size[LEFT_DONE]))
            rows = left.index[ends[done:known]][:, engine.final]
            found = (rows >= 0) & (left.rows[rows, 0] & np.uint64(1) != 0)
            if found.any():
                engine.first_end = ends[done + int(np.flatnonzero(found.any(axis=1))[0])]
                return engine.first_end
            done, step = known, 2 * step
        return None

    def _allows(self, before: int, behind: int, data: bytes) -> bool:
        tables = self._tables
        array = np.frombuffer(data, np.uint8)
        while True:
            tables.left_upto(before)
            tables.right_downto(behind)
            main = tables.places.lattice.main
            result = tables.call(
                _CHECK_BYTES,
                tables.left,
                tables.right,
                tables.pairs,
                tables.seen,
                tables.stack,
                np.int64(main[before]),
                np.int64(main[behind]),
                array,
            )
            if result == FULL:
                tables.grow_both()
            elif result == TOO_LONG:
                tables.spare_bits(len(data))
            else:
                return result == 1
