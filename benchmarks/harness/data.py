"""Reading schemas with instances: MaskBench, the JSON Schema Test Suite, and a small own set."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OWN_SET = ROOT / "benchmarks" / "data" / "schemas.jsonl"
PUBLIC_SETS = {
    "maskbench_dev.jsonl.gz": "https://github.com/guidance-ai/jsonschemabench (maskbench/data)",
    "json_schema_test_suite.jsonl.gz": "https://github.com/json-schema-org/JSON-Schema-Test-Suite",
}


@dataclass(frozen=True)
class Instance:
    """A JSON document, as text, and whether the schema allows it."""

    valid: bool
    text: str
    description: str = ""


@dataclass(frozen=True)
class Case:
    """One schema, as text, with its instances. `group` is the data set that it stems from."""

    name: str
    group: str
    schema: str
    instances: tuple[Instance, ...]


def shared_file(name: str) -> Path | None:
    """The public data file `name` in $GUIDED_SHARED or in ../shared beside the repository."""
    folders = [Path(os.environ["GUIDED_SHARED"])] if "GUIDED_SHARED" in os.environ else []
    folders.append(ROOT.parent / "shared")
    for folder in folders:
        for path in (folder / "data" / name, folder / name):
            if path.is_file():
                return path
    return None


def maskbench_path(given: str | None) -> Path:
    """The file to run: the given one, the public dev part where it is at hand, or our small set."""
    if given is not None:
        return Path(given)
    return shared_file("maskbench_dev.jsonl.gz") or OWN_SET


def where_from(path: Path) -> str:
    """A line for the reader about the data that is used."""
    if path == OWN_SET:
        url = PUBLIC_SETS["maskbench_dev.jsonl.gz"]
        return f"our own small set ({path.name}); the large public one is at {url}"
    return path.name


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a .jsonl or .jsonl.gz file."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def as_text(value: Any) -> str:
    """`value` as JSON text; escaped only where it holds half a surrogate pair."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value)
    return text


def group_of(name: str) -> str:
    """The data set in a MaskBench name: what stands before `---`, or before the first `_`."""
    return name.split("---")[0] if "---" in name else name.split("_")[0]


def _instances(tests: Sequence[dict[str, Any]]) -> tuple[Instance, ...]:
    return tuple(Instance(t["valid"], as_text(t["data"]), t.get("description", "")) for t in tests)


def load(path: Path) -> list[Case]:
    """All schemas of a MaskBench file."""
    return [
        Case(row["name"], group_of(row["name"]), as_text(row["schema"]), _instances(row["tests"]))
        for row in rows(path)
    ]


DRAFTS = {
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}


def load_suite(path: Path) -> list[Case]:
    """The groups of a JSON Schema Test Suite file; each schema names its draft."""
    cases = []
    for number, row in enumerate(rows(path)):
        schema = row["schema"]
        if isinstance(schema, dict) and "$schema" not in schema:
            schema = {"$schema": DRAFTS[row["draft"]], **schema}
        name = f"{row['draft']}/{row['file']}#{number} {row['description']}"
        cases.append(Case(name, row["draft"], as_text(schema), _instances(row["tests"])))
    return cases


def sample(cases: Sequence[Case], limit: int | None, seed: int) -> list[Case]:
    """`limit` cases in random order, from each group in proportion to its size (None: all)."""
    chance = random.Random(seed)
    shuffled = list(cases)
    chance.shuffle(shuffled)
    if limit is None or limit >= len(shuffled):
        return shuffled
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in shuffled:
        groups[case.group].append(case)
    # Rank each case by how far into its own group it stands: equal shares of every group.
    ranked = [
        ((i + chance.random()) / len(group), case)
        for group in groups.values()
        for i, case in enumerate(group)
    ]
    kept = sorted(ranked, key=lambda item: item[0])[:limit]
    chance.shuffle(kept)
    return [case for _, case in kept]
