"""Whole texts that complete a canvas, by filling one mask after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from guided.grammars.canvas.chart import Chart, OutOfRoom
from guided.grammars.canvas.slots import GAP, MASKED, Layout
from guided.grammars.canvas.sources import CanvasSource
from guided.grammars.canvas.tables import Tables

#: Slots by which every hole is made longer where a canvas is too short for any text, in this order.
_GROWTHS = (0, 1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Completion:
    """A whole text that completes a canvas.

    Attributes:
        tokens: its tokens, without a stop token.
        data: its bytes.
        fits: whether the tokens fill the canvas as it is, every hole with as many tokens as it has
            slots (the last one may end early). Else the text holds the fixed fragments in order,
            but its length is another one.
    """

    tokens: list[int]
    data: bytes
    fits: bool


def rescue(source: CanvasSource, layout: Layout) -> Completion | None:
    """A completion of `layout`, None where none was found."""
    tables = source.tables()
    for growth in _GROWTHS:
        grown = layout.grown(growth)
        chart = _fillable(source, grown, tables)
        if chart is not None:
            tokens = _filled(source, grown, chart, tables)
            if tokens is not None:
                text = source.vocabulary.decode(tokens)
                return Completion(tokens, text, growth == 0 or GAP in layout.slots)
    return None


def shortest_length(source: CanvasSource, layout: Layout) -> int | None:
    """The fewest slots that a completion takes with holes that are as long or longer."""
    tables = source.tables()
    for growth in _GROWTHS:
        chart = _fillable(source, layout.grown(growth), tables)
        if chart is not None:
            return chart.shortest
    return None


def _fillable(source: CanvasSource, layout: Layout, tables: Tables) -> Chart | None:
    chart = source.chart(layout, tables)
    try:
        return chart if chart is not None and chart.fillable else None
    except OutOfRoom:
        return None


def _filled(source: CanvasSource, layout: Layout, chart: Chart, tables: Tables) -> list[int] | None:
    """Tokens for all slots, the text as short as it can be."""
    shortest = chart.shortest
    if shortest is None:
        return None
    now = layout.cut(shortest)
    for slot in range(now.end):
        if now.slots[slot] is not MASKED:
            continue
        current = source.chart(now, tables)
        if current is None:
            return None
        for token, data in _candidates(source):
            if current.allows(slot, data):
                after = now.fixed([(slot, token)])
                break
        else:
            return None
        if after is None:
            return None
        now = after
    return [int(token) for token in now.slots[: now.end] if isinstance(token, int)]


def _candidates(source: CanvasSource) -> Iterator[tuple[int, bytes]]:
    """One token for every class of tokens that no terminal tells apart, short ones first."""
    yield from source.engine.representatives
