"""Writes RESULTS.md from the JSON files of the benchmarks.

    python benchmarks/report.py FILE.json … [--output benchmarks/RESULTS.md]

A benchmark that was not run this time keeps the section that it had: each file in
benchmarks/results/ holds the last run of one benchmark.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.figures import Table, figure_table

HERE = Path(__file__).resolve().parent
ORDER = (
    "maskbench",
    "mask_threads",
    "beyond_json",
    "json_schema_suite",
    "fuzz",
    "end_to_end",
    "speculative",
    "search",
    "aligned",
    "anchored",
    "diffusion",
    "canvas",
    "cold_start",
)
HEAD = """# Results

Written by `make bench`; do not edit. Each section names the command that makes it again, the
machine, the versions and the date. Ratios compare engines within one run; times of different
sections or machines are not comparable.
"""


def section(result: Mapping[str, Any]) -> str:
    """One benchmark's part of the page."""
    machine = result["machine"]
    gpu = machine["gpu"] or "no GPU"
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    parts = [
        f"## {result['title']}",
        f"`{result['command']}`",
        f"{result['date']}, {machine['cpu']}, {machine['cores']} cores, {gpu}, "
        f"Python {machine['python']}, {versions}",
    ]
    if result["figures"]:
        parts.append(figure_table(result["figures"]).text())
    for content in result["tables"]:
        table = Table(**content)
        parts += [f"**{table.title}**"] if table.title else []
        parts.append(table.text())
    if result["notes"]:
        parts.append("\n".join(f"- {note}" for note in result["notes"]))
    return "\n\n".join(parts) + "\n"


def rank(result: Mapping[str, Any]) -> tuple[int, str]:
    """Where a benchmark stands on the page."""
    name = result["benchmark"]
    places = [index for index, begin in enumerate(ORDER) if name.startswith(begin)]
    return (places[-1] if places else len(ORDER), name)


def write(output: Path, kept: Path) -> None:
    """Writes the page from all result files in `kept`."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in kept.glob("*.json")]
    sections = [section(result) for result in sorted(results, key=rank)]
    output.write_text("\n".join([HEAD, *sections]), encoding="utf-8")


def main(given: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="JSON files of benchmarks")
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument("--kept", type=Path, default=HERE / "results")
    options = parser.parse_args(given)
    options.kept.mkdir(exist_ok=True)
    for path in options.files:
        # A file that is kept already may be one of two runs of a benchmark.
        if path.resolve().parent != options.kept.resolve():
            name = json.loads(path.read_text(encoding="utf-8"))["benchmark"]
            shutil.copyfile(path, options.kept / f"{name}.json")
    write(options.output, options.kept)


if __name__ == "__main__":
    main(sys.argv[1:])
