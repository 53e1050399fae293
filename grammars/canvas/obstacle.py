"""Where fixed text stops being possible."""

from __future__ import annotations

from guided.grammars.canvas.slots import GAP, Layout
from guided.grammars.canvas.sources import CanvasSource


def first_obstacle(source: CanvasSource, layout: Layout) -> int | None:
    """The first slot with which no text of the grammar can begin, whatever fills the holes.

    The number of slots that count where only the end is impossible; None where nothing is known to
    be.
    """

    def may_begin(count: int) -> bool:
        begun = Layout.of([*layout.slots[:count], GAP], source.vocabulary)
        return source.may_fit(source.loose_chart(begun))

    if source.may_fit(source.loose_chart(layout)):
        return None
    low, high = 0, layout.end
    if may_begin(high):
        return high
    # Texts that begin with more slots are fewer.
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if may_begin(middle) else (low, middle)
    return low
