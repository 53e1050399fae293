"""What a schema costs in a decoding step of many rows on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .figures import Figure, Report, Table, number
from .speculating.timing import Plan, race
from .speculating.ways import PEERS, Way, free_generate, guided_way, make_ways
from .speculating.workloads import Workload, copying

ROWS = 64
ROUNDS = 3
TARGET = "<= 1.02"
FREE, UNDER_SCHEMA = "guided, free", "guided, schema"
SCHEMA_PEERS = ("generate + guided", "generate + xgrammar")


def measure(report: Report, shape: str, device: str) -> None:
    """Adds a table of seconds, and the ratio of what the schema costs.

    Nothing is drafted. The network is taught its texts, so that they are the same without the
    schema: only prompts of which that is true are timed.
    """
    workload = copying(shape, device, brief=True).json
    free = replace(workload, schema=None)
    ways: dict[str, Way] = {
        FREE: guided_way(None)(free),
        UNDER_SCHEMA: guided_way(None)(workload),
        "generate, free": free_generate(free),
        **make_ways(workload, {name: PEERS[name] for name in SCHEMA_PEERS}, report.notes),
    }
    prompts = same_texts(workload, ways[FREE], ways[UNDER_SCHEMA])
    found = race(ways, lambda: prompts, Plan(ROUNDS))
    times = {name: each.median for name, each in found.items()}
    table = Table(["way", "seconds", "this / guided, free"], title=f"{shape}: {ROWS} rows")
    for name, seconds in times.items():
        table.rows.append([name, f"{seconds:.3f}", number(seconds / times[FREE])])
    report.tables.append(table)
    ratio = times[UNDER_SCHEMA] / times[FREE]
    report.figures.append(Figure(f"{shape}_{ROWS}_rows_schema_to_free", ratio, "x", TARGET))
    report.notes.append(
        f"medians of {ROUNDS} rounds by turns after a first one; {len(set(prompts))} prompts whose "
        "texts are the same without the schema, repeated; no drafts"
    )


def same_texts(workload: Workload, free: Way, under_schema: Way) -> Sequence[str]:
    """As many prompts as there are rows, whose texts do not depend on the schema."""
    asked = workload.take(len(workload.prompts))
    pairs = zip(asked, free(asked), under_schema(asked), strict=True)
    found = [prompt for prompt, one, other in pairs if one == other]
    if not found:
        raise ValueError("the schema changes every text: there is nothing to compare")
    return [found[row % len(found)] for row in range(ROWS)]
