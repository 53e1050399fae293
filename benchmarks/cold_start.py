"""How long a fresh process takes to import guided and to make its first mask.

    python benchmarks/cold_start.py [--quick] [--json OUT]

Every measurement is a new Python process with warm on-disk caches (one process beforehand fills
them): the bytecode of every module, as pip leaves it, compiled kernels, tables. `import guided` is
counted beyond `import torch, transformers`, and includes everything that `guided.generate` needs.
The first mask is that of a small object schema on the 131,072-token vocabulary: vocabulary tables,
compiling the schema, computing the mask.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from harness.figures import Figure, Report, Table
from harness.runner import HERE, ONE_THREAD

CLOCK = """
import time, json
marks = []
def mark(name):
    marks.append((name, time.perf_counter(), time.process_time()))
def show():
    steps = zip(marks, marks[1:])
    print(json.dumps({name: [w - v, c - b] for (_, v, b), (name, w, c) in steps}))
"""

IMPORT = (
    CLOCK
    + """
mark("")
import torch, transformers
from transformers import AutoModelForCausalLM, AutoTokenizer
mark("import torch, transformers")
import guided
guided.generate, guided.run, guided.load, guided.Model
mark("import guided")
show()
"""
)

MASK = (
    CLOCK
    + """
from harness import tekken
from harness.worker import WARM_UP
table = tekken.table()
schema = json.dumps(WARM_UP[0][0])
mark("")
from guided.grammars.json_schema import json_schema
from guided.grammars.vocabulary import Vocabulary
mark("import the grammars alone")
vocabulary = Vocabulary.from_tokens(
    table.tokens, stop_ids=[table.stop_id], specials=table.specials
)
vocabulary.key
mark("vocabulary")
grammar = json_schema(schema)
mark("compile")
state = grammar.start(vocabulary)
state.mask()
mark("first mask")
state.mask_within(100)
mark("first mask within a budget")
show()
"""
)
Times = dict[str, list[float]]


def measure(code: str, environment: Mapping[str, str] | None = None) -> Times:
    """The wall and CPU seconds of every step that `code` prints, in a process of its own.

    Raises:
        RuntimeError: the process failed; with what it wrote.
    """
    variables = {**os.environ, **ONE_THREAD, **(environment or {})}
    # Without it every process would compile all sources of an editable install afresh.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=HERE,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(f"the measured process failed:\n{process.stderr}")
    times: Times = json.loads(process.stdout.splitlines()[-1])
    return times


def medians(code: str, times: int) -> Times:
    """The median of each time over so many processes, after one that is not counted."""
    measure(code)
    runs = [measure(code) for _ in range(times)]
    return {
        name: [statistics.median(run[name][i] for run in runs) for i in (0, 1)] for name in runs[0]
    }


def very_first(code: str) -> list[float]:
    """Seconds on a machine that has never run guided: kernels are compiled."""
    with tempfile.TemporaryDirectory() as folder:
        times = measure(code, {"NUMBA_CACHE_DIR": folder, "GUIDED_CACHE_DIR": folder})
    return [sum(step[i] for step in times.values()) for i in (0, 1)]


def run(options: argparse.Namespace) -> Report:
    """Measures and gathers the report."""
    report = Report("cold_start", "Cold start of a fresh process")
    imports, masks = medians(IMPORT, options.times), medians(MASK, options.times)
    if not options.quick:
        masks["first mask, nothing cached on disk"] = very_first(MASK)
    table = Table(["step", "wall s", "CPU s"])
    table.rows = [
        [name, f"{wall:.3f}", f"{cpu:.3f}"] for name, (wall, cpu) in {**imports, **masks}.items()
    ]
    report.tables.append(table)
    first = sum(masks[name][0] for name in ("vocabulary", "compile", "first mask"))
    report.figures = [
        Figure("import_guided", imports["import guided"][0], "s", "<= 1.5"),
        Figure("first_mask", first, "s", "<= 1"),
    ]
    report.notes.append(
        f"median of {options.times} processes, one thread, warm on-disk caches, bytecode included; "
        "the figures are wall times; first_mask is vocabulary + compile + first mask, kernels "
        "loaded from disk"
    )
    return report


def main(given: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5, help="processes per measurement")
    parser.add_argument("--quick", action="store_true", help="fewer processes, under a minute")
    parser.add_argument("--json", help="write figures and tables to this file")
    options = parser.parse_args(given)
    if options.quick:
        options.times = min(options.times, 2)
    run(options).finish(options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
