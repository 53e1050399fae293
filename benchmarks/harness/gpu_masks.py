"""What a schema costs in a decoding step of many rows on a GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from .figures import Figure, Report, Table, number
from .speculating.timing import Plan, Times, race, ratio
from .speculating.ways import PEERS, Way, free_generate, guided_way, make_ways
from .speculating.workloads import Workload, copying

ROWS = 64
ROUNDS = 5
TARGET = "<= 1.02"
FREE, UNDER_SCHEMA = "guided, free", "guided, schema"
SCHEMA_PEERS = ("generate + guided", "generate + xgrammar")


def measure(report: Report, shape: str, device: str) -> Iterator[None]:
    """Adds a table of seconds, and the ratio of what the schema costs; then those of peers.

    Nothing is drafted. The network is taught its texts, so that they are the same without the
    schema: only prompts of which that is true are timed. Yields when there is something to keep.
    """
    workload = copying(shape, device, brief=True).json
    free = replace(workload, schema=None)
    own: dict[str, Way] = {
        FREE: guided_way(None)(free),
        UNDER_SCHEMA: guided_way(None)(workload),
    }
    prompts = same_texts(workload, own[FREE], own[UNDER_SCHEMA])
    found = race(own, lambda: prompts, Plan(ROUNDS))
    table = Table(["way", "seconds", "this / guided, free"], title=f"{shape}: {ROWS} rows")
    report.tables.append(table)
    base = found[FREE].median
    _add_rows(table, found, base)
    cost = ratio(found, UNDER_SCHEMA, FREE)
    report.figures.append(Figure(f"{shape}_{ROWS}_rows_schema_to_free", cost, "x", TARGET))
    report.notes.append(
        f"medians of {ROUNDS} rounds by turns after a first one; {len(set(prompts))} prompts whose "
        "texts are the same without the schema, repeated; no drafts"
    )
    yield
    peers = {
        "generate, free": free_generate(free),
        **make_ways(workload, {name: PEERS[name] for name in SCHEMA_PEERS}, report.notes),
    }
    _add_rows(table, race(peers, lambda: prompts, Plan(1)), base)
    report.notes.append("generate: one round after a first one")
    yield


def _add_rows(table: Table, found: Mapping[str, Times], base: float) -> None:
    for name, times in found.items():
        table.rows.append([name, f"{times.median:.3f}", number(times.median / base)])


def same_texts(workload: Workload, free: Way, under_schema: Way) -> Sequence[str]:
    """As many prompts as there are rows, whose texts do not depend on the schema."""
    asked = workload.take(len(workload.prompts))
    pairs = zip(asked, free(asked), under_schema(asked), strict=True)
    found = [prompt for prompt, one, other in pairs if one == other]
    if not found:
        raise ValueError("the schema changes every text: there is nothing to compare")
    return [found[row % len(found)] for row in range(ROWS)]
