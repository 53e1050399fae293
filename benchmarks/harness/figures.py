"""What a benchmark writes: figures with their targets, the machine, versions, tables."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import operator
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OPERATORS = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}
DISTRIBUTIONS = (
    "guided",
    "torch",
    "transformers",
    "numpy",
    "numba",
    "mistral_common",
    "llguidance",
    "xgrammar",
    "outlines-core",
    "outlines",
    "guidance",
    "lm-format-enforcer",
    "genlm-control",
    "jsonschema",
    "lark",
)


@dataclass(frozen=True)
class Figure:
    """One number. `target` is, for example, `<= 60`; empty where none is set."""

    name: str
    value: float | None
    unit: str
    target: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the target is met; None where there is no target or no number."""
        if not self.target or self.value is None:
            return None
        sign, _, bound = self.target.partition(" ")
        return bool(OPERATORS[sign](self.value, float(bound)))


@dataclass
class Table:
    """Rows of cells under named columns; the first column is the row's name."""

    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    title: str = ""

    def text(self) -> str:
        """The table as it stands in a Markdown file, columns aligned."""
        cells = [self.columns, *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        lines = [_line(row, widths) for row in cells]
        rule = "| " + " | ".join(
            ("-" * w if i == 0 else "-" * (w - 1) + ":") for i, w in enumerate(widths)
        )
        return "\n".join([lines[0], rule + " |", *lines[1:]])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    parts = [
        c.ljust(w) if i == 0 else c.rjust(w)
        for i, (c, w) in enumerate(zip(row, widths, strict=True))
    ]
    return "| " + " | ".join(parts) + " |"


@dataclass
class Report:
    """Everything that one benchmark found."""

    benchmark: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def show(self) -> None:
        """Prints tables, notes and figures."""
        print(f"\n{self.title}\n{machine_line()}\n")
        for table in self.tables:
            print((table.title + "\n\n" if table.title else "") + table.text() + "\n")
        for note in self.notes:
            print(f"- {note}")
        print("\n" + figure_table([_row(f) for f in self.figures]).text())

    def as_json(self) -> dict[str, Any]:
        """The form of the JSON file."""
        return {
            "benchmark": self.benchmark,
            "title": self.title,
            "figures": [_row(figure) for figure in self.figures],
            "machine": machine(),
            "versions": versions(),
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
            "command": command(),
            "tables": [asdict(table) for table in self.tables],
            "notes": self.notes,
        }

    def finish(self, path: str | None) -> None:
        """Prints the report and, where a path is given, writes it as JSON."""
        self.show()
        self.save(path)

    def save(self, path: str | None) -> None:
        """Writes what there is as JSON, where a path is given."""
        if path is not None:
            text = json.dumps(self.as_json(), indent=1, ensure_ascii=False)
            Path(path).write_text(text + "\n", encoding="utf-8")


def _row(figure: Figure) -> dict[str, Any]:
    return {**asdict(figure), "holds": figure.holds}


def figure_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Figures as a table; a row is an entry of `figures` in the JSON file."""
    table = Table(["figure", "value", "unit", "target", "holds"])
    says = {True: "yes", False: "NO", None: ""}
    for row in rows:
        value = "not run" if row["value"] is None else number(row["value"])
        table.rows.append([row["name"], value, row["unit"], row["target"], says[row["holds"]]])
    return table


def number(value: float) -> str:
    """A number to three significant digits, without exponents."""
    if value != value:
        return "–"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def machine() -> dict[str, Any]:
    """The processor, the number of cores and the accelerator."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": _cpu(), "cores": cores, "gpu": _gpu(), "python": platform.python_version()}


def machine_line() -> str:
    """The machine in one line."""
    found = machine()
    gpu = f", {found['gpu']}" if found["gpu"] else ", no GPU"
    return f"{found['cpu']}, {found['cores']} cores{gpu}, Python {found['python']}"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _gpu() -> str | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_name())


def versions() -> dict[str, str]:
    """Versions of what is installed among the packages that are measured or used."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def command() -> str:
    """The command that ran, relative to the repository."""
    script = Path(sys.argv[0]).resolve()
    root = Path(__file__).resolve().parents[2]
    shown = script.relative_to(root) if script.is_relative_to(root) else Path(script.name)
    arguments = sys.argv[1:]
    if "--json" in arguments:
        at = arguments.index("--json")
        arguments = arguments[:at] + arguments[at + 2 :]
    return " ".join(["python", str(shown), *arguments])
