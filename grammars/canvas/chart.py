"""What is known about one canvas: its left and right tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.grammars.canvas.engine import CanvasEngine
from guided.grammars.canvas.lattice import Positions
from guided.grammars.canvas.limits import CanvasLimits
from guided.kernels.canvas_arrays import FULL, N_ROWS
from guided.kernels.canvas_check import TOO_LONG, check_bytes
from guided.kernels.canvas_ends import N_TAILS, Right
from guided.kernels.canvas_left import fill_left
from guided.kernels.canvas_origins import N_ENTRIES, Left
from guided.kernels.canvas_right import fill_right
from guided.kernels.canvas_rows import meets, refill_tails

#: Bits for the places between the bytes of a token that is tried, more once a longer one is.
_SPARE = 128
#: Members of sets beyond which more room is made only where it is nearly used up.
_ENOUGH = 1 << 20


class OutOfRoom(Exception):  # noqa: N818 - not an error: the answer is "unknown"
    """A chart would take more room than allowed."""


class Chart:
    """The tables of one canvas, filled when they are first needed."""

    def __init__(self, engine: CanvasEngine, positions: Positions, limits: CanvasLimits) -> None:
        self.engine = engine
        self.positions = positions
        self._limits = limits
        self._right: Right | None = None
        self._left: Left | None = None
        self._spare = _SPARE
        self._seen = np.zeros(0, np.int32)
        self._stack = np.zeros(0, np.int64)

    @property
    def fillable(self) -> bool:
        """Whether the canvas can be filled."""
        with self.engine.lock:
            right = self._filled_right()
            row = right.index[0, self.engine.net.start_of[0]]
            return row >= 0 and bool(meets(right.rows, row, self._accepting(right)))

    @property
    def shortest(self) -> int | None:
        """The fewest slots that a text can fill, None where none fits."""
        with self.engine.lock:
            right = self._filled_right()
            row = right.index[0, self.engine.net.start_of[0]]
            if row < 0:
                return None
            bits = right.rows[row] & self._accepting(right)
        ends = np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little"))
        if not len(ends):
            return None
        return int(np.searchsorted(self.positions.main_of, ends[0]))

    def _accepting(self, right: Right) -> NDArray[np.uint64]:
        accepting: NDArray[np.uint64] = self.positions.lattice.accepting[: right.rows.shape[1]]
        return accepting

    def allows(self, slot: int, data: bytes) -> bool:
        """Whether a token with these bytes may stand in a masked slot, or inside of a gap."""
        array = np.frombuffer(data, np.uint8)
        main, onward = self.positions.main_of[slot : slot + 2]
        with self.engine.lock:
            while True:
                left, right = self._filled_left(), self._filled_right()
                result = self._call(
                    check_bytes, left, right, self._seen, self._stack, main, onward, array
                )
                if result == FULL:
                    self._grow_sets()
                    self._right, self._left = self._more_room_right(), self._more_room_left()
                elif result == TOO_LONG:
                    self._spare = -(-len(data) // 64) * 64
                    self._right = self._left = None
                else:
                    return result == 1

    def _filled_right(self) -> Right:
        if self._right is None:
            left = self._filled_left()
            engine, positions = self.engine, self.positions
            states = len(engine.net.final)
            rows = max(512, positions.count * engine.right_rows)
            while True:
                table = Right(
                    size=np.zeros(5, np.int64),
                    rows=self._rows(rows, (positions.count + 63) // 64),
                    index=np.full((positions.count, states), -1, np.int32),
                    sums=np.full((len(positions.lattice.kind), states), -1, np.int32),
                    key=np.full(_power(4 * rows), -1, np.int64),
                    value=np.full(_power(4 * rows), -1, np.int32),
                    chain=np.zeros(2 * (len(positions.lattice.kind) + 1), np.int64),
                )
                if self._run(fill_right, table, left.index, engine.cyclic):
                    engine.right_rows = rows_per(table.size[N_ROWS], positions.count)
                    self._right = table
                    return table
                rows = self._more(rows, int(table.size[N_ROWS]))
        return self._right

    def _filled_left(self) -> Left:
        if self._left is None:
            engine = self.engine
            mains = len(self.positions.lattice.kind)
            most = self._limits.inner_positions if self.positions.may_have_mids else 0
            mids = min(most, engine.inner_positions)
            rows = max(512, mains * engine.left_rows)
            while True:
                self.positions = self.positions.roomier(mids)
                table = self._new_left(rows, mids)
                if not self._run(fill_left, table):
                    rows = self._more(rows, int(table.size[N_ROWS]))
                elif self.positions.lattice.used[1] and mids < most:
                    mids = min(most, 2 * mids)
                else:
                    break
            engine.left_rows = rows_per(table.size[N_ROWS], mains)
            engine.inner_positions = max(64, 2 * (self.positions.count - mains))
            self._left = table
            bits = len(engine.net.start_of) * (64 * self.positions.width + self._spare)
            self._seen = np.full(bits, -1, np.int32)
            self._stack = np.zeros(2 * bits + 2, np.int64)
        return self._left

    def _new_left(self, rows: int, mids: int) -> Left:
        states = len(self.engine.net.final)
        mains = len(self.positions.lattice.kind)
        return Left(
            size=np.zeros(6, np.int64),
            rows=self._rows(rows, self.positions.width + self._spare // 64),
            index=np.full((mains + mids, states), -1, np.int32),
            entry=np.zeros((rows, 3), np.int32),
            entry_begin=np.zeros(mains + 1, np.int32),
            entry_end=np.zeros(mains + 1, np.int32),
            slot=np.zeros((_power(rows), 2), np.int32),
            queue=np.zeros(states, np.int64),
            waits=np.zeros(states, np.uint8),
            ended=np.zeros(len(self.engine.net.start_of), np.int32),
            local=np.full((self._spare, states), -1, np.int32),
        )

    def _run(self, kernel: Callable[..., Any], table: Any, *more: Any) -> bool:
        status = self._call(kernel, table, *more)
        if status == FULL:
            self._grow_sets()
        return status != FULL

    def _call(self, kernel: Callable[..., Any], *tables: Any) -> int:
        engine = self.engine
        return int(
            kernel(
                engine.rules,
                engine.net,
                engine.sets,
                engine.mids,
                self.positions.lattice,
                engine.token_nodes,
                engine.most_visits,
                engine.alphabet,
                *tables,
            )
        )

    def _grow_sets(self) -> None:
        # It is not known what was full. Small arrays of sets are cheap, up to a point.
        if len(self.engine.sets.member) < _ENOUGH or self.engine.nearly_full:
            self.engine.grow()

    def _rows(self, rows: int, width: int) -> NDArray[np.uint64]:
        if rows * width > self._limits.words:
            raise OutOfRoom
        return np.empty((rows, width), np.uint64)

    def _more(self, rows: int, used: int) -> int:
        return 2 * rows if 2 * used >= rows else rows

    def _more_room_right(self) -> Right:
        right = self._filled_right()
        key, value = right.key, right.value
        if 4 * right.size[N_TAILS] >= len(key):
            known = key >= 0
            pairs = zip(key[known].tolist(), value[known].tolist(), strict=True)
            key, value = np.full(2 * len(key), -1, np.int64), np.full(2 * len(value), -1, np.int32)
            refill_tails(key, value, np.array(list(pairs), np.int64).reshape(-1, 2))
        rows = self._rows(2 * len(right.rows), right.rows.shape[1])
        rows[: len(right.rows)] = right.rows
        return right._replace(rows=rows, key=key, value=value)

    def _more_room_left(self) -> Left:
        left = self._filled_left()
        rows = self._rows(2 * len(left.rows), left.rows.shape[1])
        rows[: len(left.rows)] = left.rows
        entry = np.zeros((len(left.entry) * 2, 3), np.int32)
        entry[: left.size[N_ENTRIES]] = left.entry[: left.size[N_ENTRIES]]
        return left._replace(
            rows=rows, entry=entry, slot=np.zeros((2 * len(left.slot), 2), np.int32)
        )


def _power(least: int) -> int:
    return 1 << max(6, (least - 1).bit_length())


def rows_per(rows: int, positions: int) -> int:
    """Rows a position for which room is made next time, with some to spare."""
    return int(1.5 * rows / positions) + 4
