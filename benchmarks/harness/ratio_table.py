"""Our times beside those of each peer."""

from __future__ import annotations

from collections.abc import Sequence

from .figures import Table, number
from .tally import Tally, ratios

STATISTICS = ("mean", "p50", "p90", "p99", "p99.9", "max")


def ratio_table(ours: Tally, peers: Sequence[Tally], what: str) -> Table:
    """Our times over each peer's, on what both compiled, and over the best peer's.

    Args:
        what: the plural of what is compiled.
    """
    title = f"{ours.engine} / peer, on {what} that both compiled"
    table = Table(["", *(p.engine for p in peers), "best peer"], title=title)
    table.rows.append([what, *(str(len(ours.common(p))) for p in peers), ""])
    for which in ("ttfm", "tbm"):
        for how in STATISTICS:
            found = ratios(ours, peers, which, how)
            cells = [number(found[p.engine]) if p.engine in found else "–" for p in peers]
            best = number(max(found.values())) if found else "–"
            table.rows.append([f"{which.upper()} {how}", *cells, best])
    return table
