"""How masks of many rows scale with threads: 64 rows at mixed places of JSON schemas.

    python benchmarks/mask_threads.py [--quick] [--json OUT]

Every row stands somewhere in a valid instance of its schema, whose grammar is new: the masks of all
rows are made for the first time: one by one, together by one thread, and by two, in turn. Once the
rows have sixteen schemas; once they all have the same one. Vocabulary: 131,072 tokens.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import sys
import time
from collections.abc import Sequence

from harness import data, tekken
from harness.figures import Figure, Report, Table, machine, number

from guided.errors import GuidedError
from guided.grammars.json_schema import json_schema
from guided.grammars.row_masks import make_masks
from guided.grammars.states import GrammarState
from guided.grammars.vocabulary import Vocabulary

ROWS = 64
SCHEMAS = 16
#: Calls that are timed together: the caches of a core that just did something else fill first.
CALLS = 6
TARGET = ">= 1.7"

Written = tuple[str, list[int]]


def written(least: int) -> list[Written]:
    """Schemas, each with the tokens of a valid instance of at least so many."""
    encode = tekken.encoder()
    found = []
    for case in data.sample(data.load(data.maskbench_path(None)), 300, 0):
        texts = [instance.text for instance in case.instances if instance.valid]
        ids = max(map(encode, texts), key=len, default=[])
        try:
            if len(ids) >= least and json_schema(case.schema):
                found.append((case.schema, ids))
        except GuidedError:
            continue
        if len(found) == SCHEMAS:
            break
    return found


def rows(
    chosen: Sequence[Written], vocabulary: Vocabulary, chance: random.Random
) -> list[GrammarState]:
    """As many states, of new grammars, whose masks nobody has asked for."""
    found: list[GrammarState] = []
    share = ROWS // len(chosen)
    for schema, ids in chosen:
        states = [json_schema(schema).start(vocabulary)]
        for token in ids:
            after = states[-1].advance(token)
            if after is None:
                break
            states.append(after)
        found += chance.sample(states, min(share, len(states)))
    return found


def seconds(
    chosen: Sequence[Written],
    vocabulary: Vocabulary,
    threads: int,
    seed: int,
) -> tuple[float, int]:
    """Wall time of some calls, and how many masks they made; without threads one by one."""
    chance = random.Random(seed)
    calls = [rows(chosen, vocabulary, chance) for _ in range(CALLS)]
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        for states in calls:
            if threads:
                make_masks(states, threads)
            for state in states:
                state.mask()
        return time.perf_counter() - began, sum(map(len, calls))
    finally:
        gc.enable()


def measure(report: Report, name: str, chosen: Sequence[Written], rounds: int) -> None:
    """Adds a row to the table and the figure of the ratio."""
    table = tekken.table()
    vocabulary = Vocabulary.from_tokens(
        table.tokens, stop_ids=[table.stop_id], specials=table.specials
    )
    seconds(chosen, vocabulary, 2, 0)
    found: dict[int, list[float]] = {0: [], 1: [], 2: []}
    masks = 0
    for seed in range(1, rounds + 1):
        for threads in (0, 1, 2) if seed % 2 else (2, 1, 0):
            time_taken, masks = seconds(chosen, vocabulary, threads, seed)
            found[threads].append(time_taken / masks * 1e6)
    alone, one, two = (statistics.median(found[threads]) for threads in (0, 1, 2))
    report.tables[0].rows.append(
        [name, str(masks // CALLS), *map(number, (alone, one, two, one / two))]
    )
    report.figures.append(Figure(f"{name.replace(' ', '_')}_two_threads", one / two, "x", TARGET))


def run(options: argparse.Namespace) -> Report:
    """Measures and gathers the report."""
    report = Report("mask_threads", "Masks of 64 rows, made by threads")
    columns = ["rows of", "masks", "one by one, µs a mask", "together", "2 threads", "speed-up"]
    report.tables.append(Table(columns))
    several = written(40)
    measure(report, "several schemas", several, options.rounds)
    measure(report, "one schema", [max(several, key=lambda each: len(each[1]))], options.rounds)
    report.notes.append(
        f"medians of {options.rounds} rounds by turns of {CALLS} calls each, wall time; masks of "
        "new grammars, the tokens inside of terminals known from others of the same vocabulary"
    )
    report.notes.append(
        "a mask takes some tens of microseconds: to wake up the other thread, to take the masks, "
        "and to move memory from one core to the other, takes as long as a few of them"
    )
    if machine()["cores"] < 2:
        report.notes.append("this process may use one core only: no speed-up can show")
    return report


def main(given: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="of one and two threads")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", help="write figures and tables to this file")
    options = parser.parse_args(given)
    if options.quick:
        options.rounds = min(options.rounds, 3)
    run(options).finish(options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
