"""Left and right tables that follow a canvas while its tokens are fixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guided.grammars.canvas.engine import CanvasEngine
from guided.grammars.canvas.lattice import Places, Units, changes
from guided.grammars.canvas.limits import CanvasLimits
from guided.grammars.canvas.room import OutOfRoom, longer, rows_per, sparse, taller
from guided.grammars.canvas.slots import Layout
from guided.grammars.canvas.unions import new_unions
from guided.grammars.vocabulary import Vocabulary
from guided.kernels.canvas_arrays import FULL, HIGH, N_ROWS, WANTS
from guided.kernels.canvas_check import MOST_PAIRS
from guided.kernels.canvas_cuts import cut_left, cut_right
from guided.kernels.canvas_ends import N_PAIRS, N_TAILS, RIGHT_DONE, Right
from guided.kernels.canvas_left import fill_left
from guided.kernels.canvas_origins import LEFT_DONE, N_ENTRIES, Left
from guided.kernels.canvas_right import fill_right
from guided.kernels.canvas_rows import enter_pairs
from guided.kernels.direct_calls import Direct

#: Bits for the places between the bytes of a token that is tried, more once a longer one is.
_SPARE = 128
#: Slots of the hash table of one group of entries, more once a group is larger.
_SLOTS = 1024
_FILL_LEFT, _FILL_RIGHT = Direct(fill_left), Direct(fill_right)
_CUT_LEFT, _CUT_RIGHT = Direct(cut_left), Direct(cut_right)
#: Members of sets beyond which more room is made only where it is nearly used up.
_ENOUGH = 1 << 20


class Tables:
    """The tables of the canvas that was asked about last.

    What is left of a token that was fixed stays in the left table, what is right of it in the right
    one. Where the next canvas is no such successor, they are made anew. Take the engine's lock.

    Args:
        n_mids: mids that a mask may have.

    Attributes:
        places: the numbers of the positions.
        left: the left table.
        right: the right table.
        seen: int32[rules * bits] of -1, room for a check.
        stack: int64[...], room for a check.
        pairs: int64[..., 3], room for a check.
    """

    places: Places
    left: Left
    right: Right

    def __init__(
        self,
        engine: CanvasEngine,
        vocabulary: Vocabulary,
        limits: CanvasLimits,
        n_mids: int,
    ) -> None:
        self.engine = engine
        self._vocabulary = vocabulary
        self._limits = limits
        self._n_mids = n_mids
        self._taken = engine.taken[n_mids > 0]
        self._spare = _SPARE
        self._layout: Layout | None = None
        #: Boundaries that the left table has come to since something to the left of them changed
        #: otherwise than by fixing tokens.
        self._visited = bytearray()
        self.seen = np.zeros(0, np.int32)
        self.stack = np.zeros(0, np.int64)
        self.pairs = np.zeros((2 * MOST_PAIRS, 3), np.int64)

    def become(self, layout: Layout) -> Places:
        """Lets the tables follow to `layout`."""
        if layout is not self._layout:
            known, self._layout = self._layout, None
            if known is None:
                units = Units.of(layout, self._vocabulary)
            else:
                units = self.places.units.after(known, layout, self._vocabulary)
            if known is None or not self.places.can_become(units):
                self._begin(units)
            else:
                self._follow(units)
            self._layout = layout
        return self.places

    @property
    def right_done(self) -> int:
        """The first boundary from which on the right table is done."""
        return int(self.right.size[RIGHT_DONE])

    def left_upto(self, boundary: int) -> Left:
        """The left table, done up to a boundary."""
        while self.left.size[LEFT_DONE] < boundary:
            if self.call(_FILL_LEFT, self.left, boundary) == FULL:
                self._visit(int(self.left.size[LEFT_DONE]))
                self._grow_left()
                self._cut_left(int(self.left.size[LEFT_DONE]))
            else:
                self._visit(boundary)
                self._learn_left()
        return self.left

    def right_downto(self, boundary: int) -> Right:
        """The right table, done down to a boundary."""
        if self.right_done > boundary:
            count = len(self.places.units.texts)
            last = self._visited.rfind(0, boundary, count + 1)
            if last >= 0:
                self.left_upto(last)
        while self.right_done > boundary:
            active, cyclic = self.left.index, self.engine.cyclic
            if self.call(_FILL_RIGHT, self.right, active, cyclic, boundary) == FULL:
                self._grow_right()
                self._cut_right(self.right_done)
            else:
                self._learn_right()
        return self.right

    def call(self, kernel: Callable[..., Any], *tables: Any) -> int:
        """What a kernel returns for these tables."""
        engine = self.engine
        return int(
            kernel(
                engine.rules,
                engine.net,
                engine.sets,
                engine.mids,
                self.places.lattice,
                engine.token_nodes,
                engine.most_visits,
                engine.alphabet,
                *tables,
            )
        )

    def grow_both(self) -> None:
        """Makes room in all tables for a check."""
        self.pairs = np.zeros((2 * len(self.pairs), 3), np.int64)
        self._grow_left(always=True)
        self._grow_right(always=True)

    def spare_bits(self, length: int) -> None:
        """Makes room for the bytes of a token of this length."""
        self._spare = -(-length // 64) * 64
        self.left = self._left_of(self.places.width)
        self._new_room()

    def _begin(self, units: Units) -> None:
        count = len(units.texts)
        most = self._limits.inner_positions if self._n_mids else 0
        within = sum(len(text) - 1 for text in units.texts if text is not None)
        inner = min(most, self._taken.inner)
        width = (count + 1 + within + inner + 63) // 64
        self.places = Places(units, self._n_mids, most, width)
        self._visited = bytearray(count + 1)
        mains = count + 1 + within
        self._allocate(mains, count, width)

    def _allocate(self, mains: int, count: int, width: int) -> None:
        engine = self.engine
        states, rules = len(engine.net.final), len(engine.net.start_of)
        rows = self._begun(mains * self._taken.left, width + self._spare // 64)
        self.left = Left(
            size=np.array([0, 0, 0, 0, 0, 0, 0, -1], np.int64),
            rows=self._rows(rows, width + self._spare // 64),
            index=np.full((64 * width, states), -1, np.int32),
            entry=np.zeros((rows, 4), np.int32),
            entry_begin=np.zeros(64 * width + 1, np.int32),
            entry_end=np.zeros(64 * width + 1, np.int32),
            mark=np.zeros((count + 1, 2), np.int32),
            slot=np.zeros((_SLOTS, 2), np.int32),
            waits=np.zeros((states + 63) // 64, np.uint64),
            ended=np.zeros(rules, np.int32),
            local=np.full((self._spare, states), -1, np.int32),
            blocks=new_unions(engine.callers, width),
        )
        rows = self._begun(mains * self._taken.right, width)
        pairs = self._taken.pairs
        self.right = Right(
            size=np.array([0, 0, 0, 0, count + 1, 0, 0], np.int64),
            rows=self._rows(rows, width),
            index=np.full((64 * width, states), -1, np.int32),
            tails=self._tails(64 * width, pairs),
            tail=np.zeros((mains * self._taken.tails, 2), np.int32),
            pair=np.zeros((pairs, 3), np.int32),
            pair_slot=np.full(2 * pairs, -1, np.int32),
            mark=np.zeros((count + 1, 2), np.int32),
            chain=np.zeros((64 * width + 1, 2), np.int32),
            changed=np.zeros(states, np.int64),
            seen=np.zeros(states, np.int64),
            blocks=new_unions(engine.targets, width),
        )
        self._new_room()

    def _new_room(self) -> None:
        bits = len(self.engine.net.start_of) * (64 * self.places.width + self._spare)
        self.seen = np.full(bits, -1, np.int32)
        self.stack = np.zeros(2 * bits + 2, np.int64)

    def _follow(self, units: Units) -> None:
        """Cuts both tables off where something changed."""
        places = self.places
        before, now = places.units.texts, units.texts
        may_mid, complete = places.mids_for(units)
        changed = changes(before, now) if units.changed is None else units.changed
        if self._n_mids:
            both = min(len(before), len(now))
            moved = np.flatnonzero(may_mid[:both] != places.may_mid[:both])
            if len(moved):
                changed = sorted({*changed, *moved.tolist()})
        cut_off = range(len(now), len(before))
        if changed:
            # Before a token, the left table has only what may go on with its first byte.
            first = min(unit - (before[unit] is not None) for unit in changed)
            self._leave_left(first)
        freed = next((unit for unit in changed if before[unit] is not None), None)
        if cut_off:
            first = len(now) - (before[len(now)] is not None)
            self._leave_left(first)
            self._visited[len(now)] &= first == len(now)
        if cut_off or freed is not None:
            self._cut_right(None)
        elif changed and changed[-1] + 1 > self.right_done:
            self._cut_right(changed[-1] + 1)
        if complete and not places.complete:
            # Masks have gained mids one after the other: what was visited before leaves some out.
            self._unvisit(int(self.left.size[LEFT_DONE]) + 1)
            self._cut_right(None)
        for unit in changed:
            self._visited[unit + 1] = False
        if freed is not None:
            # More is possible now: what the tables hold further right leaves some of it out.
            self._unvisit(freed)
        numbers = places.drop([*changed, *cut_off])
        if numbers:
            self.left.index[numbers] = -1
            self.right.index[numbers] = -1
        wanted = places.wants([now[unit] for unit in changed])
        if wanted > 0:
            self._widen(wanted)
        places.become(units, changed, may_mid, complete)
        if cut_off:
            self.right.size[RIGHT_DONE] = len(now) + 1

    def _visit(self, boundary: int) -> None:
        """Notes that the left table has come to a boundary."""
        self._visited[: boundary + 1] = b"\1" * (boundary + 1)

    def _unvisit(self, boundary: int) -> None:
        """Notes that the left table has to come to a boundary and those behind it again."""
        self._visited[boundary:] = bytes(len(self._visited) - boundary)

    def _cut_left(self, boundary: int) -> None:
        """Keeps what is done up to a boundary, -1: nothing."""
        _CUT_LEFT(self.left, self.places.lattice, boundary)

    def _leave_left(self, boundary: int) -> None:
        """Keeps no more than what is done up to a boundary."""
        if boundary < self.left.size[LEFT_DONE]:
            self._cut_left(boundary)

    def _cut_right(self, boundary: int | None) -> None:
        """Keeps what is done from a boundary on, None: nothing."""
        behind = len(self.places.lattice.main)
        boundary = behind if boundary is None else min(boundary, behind)
        _CUT_RIGHT(self.right, self.places.lattice, boundary)

    def _grow_left(self, always: bool = False) -> None:
        if self.places.used[WANTS]:
            self.places.used[WANTS] = 0
            self._widen(1)
            return
        self._grow_sets()
        left = self.left
        rows, entries = int(left.size[N_ROWS]), int(left.size[N_ENTRIES])
        if always or 2 * rows >= len(left.rows):
            self.left = left = self._left_of(self.places.width, 2 * len(left.rows))
            self._taken.left = max(self._taken.left, len(left.rows) // self._mains)
        if always or 2 * entries >= len(left.entry):
            self.left = left = left._replace(entry=longer(left.entry))
        begun = left.mark[left.size[LEFT_DONE], 1] if left.size[LEFT_DONE] >= 0 else 0
        if always or 4 * (entries - begun) >= len(left.slot):
            self.left = left._replace(slot=np.zeros((2 * len(left.slot), 2), np.int32))

    def _grow_right(self, always: bool = False) -> None:
        self._grow_sets()
        right = self.right
        if always or 2 * right.size[N_ROWS] >= len(right.rows):
            rows = self._rows(2 * len(right.rows), right.rows.shape[1])
            rows[: len(right.rows)] = right.rows
            right = right._replace(rows=rows)
            self._taken.right = max(self._taken.right, len(rows) // self._mains)
        if 2 * right.size[N_TAILS] >= len(right.tail):
            right = right._replace(tail=longer(right.tail))
            self._taken.tails = max(self._taken.tails, len(right.tail) // self._mains)
        if 2 * right.size[N_PAIRS] >= len(right.pair):
            right = self._with_pairs(2 * len(right.pair), right)
            self._taken.pairs = max(self._taken.pairs, len(right.pair))
        self.right = right

    def _with_pairs(self, count: int, right: Right) -> Right:
        """The right table with room for so many pairs."""
        pair = np.zeros((count, 3), np.int32)
        pair[: len(right.pair)] = right.pair
        slots = np.full(2 * count, -1, np.int32)
        enter_pairs(pair, int(right.size[N_PAIRS]), slots)
        tails = self._tails(len(right.tails), count, right)
        return right._replace(pair=pair, pair_slot=slots, tails=tails)

    def _tails(self, places: int, pairs: int, known: Right | None = None) -> NDArray[np.int32]:
        """Room for tails, with those of `known`. Few of its pages are ever touched."""
        if places * pairs > 2 * self._limits.words:
            self._layout = None
            raise OutOfRoom
        tails = sparse(places, pairs)
        if known is not None:
            at = known.tail[: known.size[N_TAILS]]
            tails[at[:, 0], at[:, 1]] = known.tails[at[:, 0], at[:, 1]]
        return tails

    def _grow_sets(self) -> None:
        # It is not known what was full. Small arrays of sets are cheap, up to a point.
        if len(self.engine.sets.member) < _ENOUGH or self.engine.nearly_full:
            self.engine.grow()

    def _widen(self, wanted: int) -> None:
        """Makes room for so many more numbers of positions, and half as many again."""
        places, engine = self.places, self.engine
        width = places.width + max(places.width // 2, (wanted + 63) // 64, 2)
        self.left = self._left_of(width)._replace(
            index=taller(self.left.index, 64 * width),
            entry_begin=taller(self.left.entry_begin, 64 * width + 1),
            entry_end=taller(self.left.entry_end, 64 * width + 1),
            blocks=new_unions(engine.callers, width, self.left.blocks),
        )
        right = self.right
        rows = self._rows(len(right.rows), width)
        used = int(right.size[N_ROWS])
        rows[:used, : places.width] = right.rows[:used]
        rows[:used, places.width :] = 0
        self.right = right._replace(
            rows=rows,
            index=taller(right.index, 64 * width),
            chain=np.zeros((64 * width + 1, 2), np.int32),
            tails=self._tails(64 * width, len(right.pair), right),
            blocks=new_unions(engine.targets, width, right.blocks),
        )
        places.widen(width)
        self._new_room()

    def _left_of(self, width: int, rows: int | None = None) -> Left:
        """The left table with rows of another width or number."""
        left, before = self.left, self.places.width
        wider = self._rows(rows or len(left.rows), width + self._spare // 64)
        used = int(left.size[N_ROWS])
        wider[:used, :before] = left.rows[:used, :before]
        wider[:used, before:] = 0
        states = len(self.engine.net.final)
        local = left.local
        if len(local) != self._spare:
            local = np.full((self._spare, states), -1, np.int32)
        return left._replace(rows=wider, local=local)

    def _begun(self, rows: int, width: int) -> int:
        """Rows to begin with where so many are likely to be needed."""
        return max(512, min(rows, self._limits.words // width))

    def _rows(self, rows: int, width: int) -> NDArray[np.uint64]:
        if rows * width > self._limits.words:
            # What was in progress is no use to anyone.
            self._layout = None
            raise OutOfRoom
        return np.empty((rows, width), np.uint64)

    @property
    def _mains(self) -> int:
        """Number of main positions."""
        return int(self.places.lattice.main[-1]) + 1

    def _learn_left(self) -> None:
        if self.left.size[LEFT_DONE] == len(self.places.units.texts):
            self._taken.left = rows_per(self.left.size[N_ROWS], self._mains)
            inner = int(self.places.used[HIGH]) - len(self.places.inner) - 1
            self._taken.inner = max(64, inner)

    def _learn_right(self) -> None:
        if self.right_done == 0:
            self._taken.right = rows_per(self.right.size[N_ROWS], self._mains)
