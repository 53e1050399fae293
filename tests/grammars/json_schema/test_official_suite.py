"""The official JSON Schema Test Suite, drafts 7 and 2020-12."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from guided.errors import SchemaError, UnsatisfiableSchemaError
from guided.grammars.json_schema import json_schema
from tests.grammars.json_schema.checking import text

ROOT = Path(__file__).parents[3]
SUITE = Path(os.environ.get("GUIDED_SHARED", ROOT.parent / "shared")) / "data"
DRAFT7 = "http://json-schema.org/draft-07/schema#"


@cache
def groups() -> list[dict[str, Any]]:
    path = SUITE / "json_schema_test_suite.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there (set GUIDED_SHARED)")
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def outcome(group: dict[str, Any]) -> Counter[str]:
    """How many tests of a group are right, wrongly accepted, wrongly rejected, or refused."""
    schema = group["schema"]
    if group["draft"] == "draft7" and isinstance(schema, dict):
        schema = {"$schema": DRAFT7, **schema}
    valid = [one["valid"] for one in group["tests"]]
    try:
        grammar = json_schema(schema)
    except UnsatisfiableSchemaError:
        return Counter(right=valid.count(False), rejected=valid.count(True))
    except SchemaError as error:
        return Counter(refused=len(valid), unplaced=not error.pointer.startswith("#"))
    found: Counter[str] = Counter()
    for one in group["tests"]:
        accepted = grammar.accepts(text(one["data"]))
        wrong = "accepted" if accepted else "rejected"
        found["right" if accepted == one["valid"] else wrong] += 1
    return found


@pytest.mark.parametrize("draft", ["draft7", "draft2020-12"])
def test_nothing_is_wrongly_accepted(draft: str) -> None:
    wrong = [
        (group["file"], group["description"])
        for group in groups()
        if group["draft"] == draft and outcome(group)["accepted"]
    ]
    assert not wrong


def test_every_refusal_has_a_pointer() -> None:
    assert not [group["schema"] for group in groups() if outcome(group)["unplaced"]]


def test_most_tests_are_decided_rightly() -> None:
    total: Counter[str] = Counter()
    for group in groups():
        total += outcome(group)
    assert total["right"] >= 0.9 * sum(total.values()), total
    assert total["refused"] <= 0.06 * sum(total.values()), total
