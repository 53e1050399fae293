"""How long a fresh process takes to import guided and to make its first mask.

    python benchmarks/cold_start.py [--quick] [--json OUT]

Every measurement is a new Python process with warm on-disk caches (one process beforehand fills
them). `import guided` is counted beyond `import torch, transformers`, and includes everything that
`guided.generate` needs. The first mask is that of a small object schema on the 131,072-token
vocabulary: vocabulary tables, compiling the schema, computing the mask.
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

IMPORT = """
import time, json
start = time.perf_counter()
import torch, transformers
from transformers import AutoModelForCausalLM, AutoTokenizer
base = time.perf_counter()
import guided
guided.generate, guided.run, guided.load, guided.Model
print(json.dumps({"torch and transformers": base - start, "guided": time.perf_counter() - base}))
"""

MASK = """
import time, json
from harness import tekken
from harness.worker import WARM_UP
table = tekken.table()
schema = json.dumps(WARM_UP)
start = time.perf_counter()
from guided.grammars.json_schema import json_schema
from guided.grammars.vocabulary import Vocabulary
imported = time.perf_counter()
vocabulary = Vocabulary.from_tokens(
    table.tokens, stop_ids=[table.stop_id], specials=table.specials
)
built = time.perf_counter()
grammar = json_schema(schema)
compiled = time.perf_counter()
state = grammar.start(vocabulary)
state.mask()
masked = time.perf_counter()
state.mask_within(100)
times = {
    "import the grammars": imported - start,
    "vocabulary": built - imported,
    "compile": compiled - built,
    "first mask": masked - compiled,
    "first mask within a budget": time.perf_counter() - masked,
}
print(json.dumps(times))
"""


def measure(code: str, environment: Mapping[str, str] | None = None) -> dict[str, float]:
    """The times, in seconds, that `code` prints in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=HERE,
        env={**os.environ, **ONE_THREAD, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(f"the measured process failed:\n{process.stderr}")
    times: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return times


def medians(code: str, times: int) -> dict[str, float]:
    """The median of each time over so many processes, after one that is not counted."""
    measure(code)
    runs = [measure(code) for _ in range(times)]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def very_first(code: str) -> float:
    """Seconds on a machine that has never run guided: kernels are compiled."""
    with tempfile.TemporaryDirectory() as folder:
        return sum(measure(code, {"NUMBA_CACHE_DIR": folder, "XDG_CACHE_HOME": folder}).values())


def run(options: argparse.Namespace) -> Report:
    """Measures and gathers the report."""
    report = Report("cold_start", "Cold start of a fresh process")
    imports, masks = medians(IMPORT, options.times), medians(MASK, options.times)
    table = Table(["step", "seconds"])
    table.rows = [[f"import {name}", f"{value:.3f}"] for name, value in imports.items()]
    table.rows += [[name, f"{value:.3f}"] for name, value in masks.items()]
    first = sum(masks[name] for name in ("vocabulary", "compile", "first mask"))
    report.figures = [
        Figure("import_guided", imports["guided"], "s", "<= 1.5"),
        Figure("first_mask", first, "s", "<= 1"),
    ]
    report.notes.append(
        f"median of {options.times} processes, wall time, warm on-disk caches; first_mask is "
        "vocabulary + compile + first mask"
    )
    if not options.quick:
        seconds = very_first(MASK)
        table.rows.append(["first mask, nothing cached on disk", f"{seconds:.3f}"])
        report.figures.append(Figure("first_mask_ever", seconds, "s"))
    report.tables.append(table)
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
