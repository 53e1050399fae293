"""What the canvases of one grammar and vocabulary are made of."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from guided.grammars.canvas.chart import Chart, OutOfRoom
from guided.grammars.canvas.engine import CanvasEngine
from guided.grammars.canvas.limits import CanvasLimits
from guided.grammars.canvas.plain import PlainRules
from guided.grammars.canvas.slots import Layout
from guided.grammars.canvas.tables import Tables
from guided.grammars.canvas.verdict import Verdict
from guided.grammars.once import once
from guided.grammars.vocabulary import Vocabulary

#: Lengths of canvases of masks whose verdicts are kept.
_OPEN_KEPT = 1024


@dataclass
class Record:
    """How often tables without mids have proven what can be proven.

    Mids are what takes most time. Of some grammars nearly all canvases can be filled without any;
    of others, with little room, hardly one can.
    """

    proven: int = 0
    missed: int = 0

    @property
    def is_good(self) -> bool:
        """Whether these tables are worth asking first."""
        return 4 * self.missed <= self.proven + 8

    def note(self, proven: bool) -> None:
        """Counts one proof, and whether these tables gave it."""
        if self.proven + self.missed >= 128:
            self.proven //= 2
            self.missed //= 2
        self.proven += proven
        self.missed += not proven


@dataclass(frozen=True)
class CanvasSource:
    """A grammar over a vocabulary, with the engines that judge its canvases."""

    plain: PlainRules
    vocabulary: Vocabulary
    limits: CanvasLimits
    engines: _Engines = field(compare=False)

    @classmethod
    def of(cls, plain: PlainRules, vocabulary: Vocabulary) -> CanvasSource:
        """The source of canvases, with the usual limits."""
        return cls(plain, vocabulary, CanvasLimits(), _Engines(plain, vocabulary))

    def limited(self, limits: CanvasLimits) -> CanvasSource:
        """The same with other limits."""
        return replace(self, limits=limits)

    @property
    def engine(self) -> CanvasEngine:
        """The engine that counts slots."""
        return self.engines.counting

    def tables(self) -> Tables:
        """Tables for a canvas and all that it becomes."""
        n_mids = len(self.engine.mids.node_of)
        return Tables(self.engine, self.vocabulary, self.limits, n_mids)

    def quick_tables(self) -> Tables | None:
        """Tables without mids, None where the usual ones have none."""
        if not len(self.engine.mids.node_of):
            return None
        return Tables(self.engine, self.vocabulary, self.limits, 0)

    def open_verdict(self, count: int, find: Callable[[], Verdict]) -> Verdict:
        """The verdict of `count` masks and nothing else, by `find` the first time."""
        known, key = self.engines.open, (self.limits, count)
        if key not in known:
            if len(known) >= _OPEN_KEPT:
                known.clear()
            known[key] = find()
        return known[key]

    def chart(self, layout: Layout, tables: Tables) -> Chart | None:
        """The answers for a layout by these tables, None where a fixed token spells nothing."""
        return Chart(tables, layout) if layout.spells else None

    def is_exact(self, layout: Layout, chart: Chart) -> bool:
        """Whether the tables leave no text out of account."""
        engine = self.engine
        if not engine.complete or (layout.has_gaps and not engine.closed):
            return False
        return not layout.has_masks or (chart.has_all and engine.tries_all_tokens)

    def loose_chart(self, layout: Layout) -> Chart | None:
        """The answers for the fixed fragments with anything between; None as for `chart`."""
        if not layout.spells:
            return None
        tables = Tables(self.engines.loose, self.vocabulary, self.limits, 0)
        return Chart(tables, layout.with_gaps())

    def may_fit(self, loose: Chart | None, extra: tuple[int, bytes] | None = None) -> bool:
        """False only where no text holds the fixed fragments in order, whatever lies between.

        `extra` is a hole's slot and one more fragment in it.
        """
        if not self.plain.complete:
            return True
        if loose is None:
            return False
        try:
            return loose.fillable if extra is None else loose.allows(*extra)
        except OutOfRoom:
            return True


@dataclass(frozen=True, eq=False)
class _Engines:
    plain: PlainRules
    vocabulary: Vocabulary
    lock: threading.RLock = field(default_factory=threading.RLock)
    quick: Record = field(default_factory=Record)
    open: dict[tuple[CanvasLimits, int], Verdict] = field(default_factory=dict)

    @once
    def counting(self) -> CanvasEngine:
        return CanvasEngine(self.plain, self.vocabulary)

    @once
    def loose(self) -> CanvasEngine:
        return CanvasEngine(self.plain, self.vocabulary, loose=True)
