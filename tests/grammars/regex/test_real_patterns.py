"""The patterns of real schemas, where the data set is at hand."""

from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from guided.errors import GrammarTooLargeError, RegexError
from guided.grammars.automata import Dfa
from guided.grammars.regex import compile_regex

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("GUIDED_SHARED", ROOT.parent / "shared")) / "data"


def patterns_in(schema: Any) -> set[str]:
    """All values of `pattern` and keys of `patternProperties` in a schema."""
    if isinstance(schema, list):
        return {found for part in schema for found in patterns_in(part)}
    if not isinstance(schema, dict):
        return set()
    found = {found for part in schema.values() for found in patterns_in(part)}
    if isinstance(schema.get("pattern"), str):
        found.add(schema["pattern"])
    if isinstance(schema.get("patternProperties"), dict):
        found.update(schema["patternProperties"])
    return found


@pytest.fixture(scope="module")
def automata() -> dict[str, Dfa | None]:
    """Every pattern of the data set, with None for those that are refused."""
    path = DATA / "maskbench_dev.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there (set GUIDED_SHARED)")
    patterns: set[str] = set()
    with gzip.open(path, "rt") as lines:
        for line in lines:
            patterns |= patterns_in(json.loads(line)["schema"])
    compiled: dict[str, Dfa | None] = {}
    for pattern in sorted(patterns):
        try:
            compiled[pattern] = compile_regex(pattern, "ecma")
        except (RegexError, GrammarTooLargeError):
            compiled[pattern] = None
    return compiled


def test_nearly_all_real_patterns_compile(automata: dict[str, Dfa | None]) -> None:
    refused = [pattern for pattern, dfa in automata.items() if dfa is None]
    assert len(automata) > 1000
    assert len(refused) / len(automata) < 0.005


def test_python_finds_real_patterns_in_their_shortest_words(
    automata: dict[str, Dfa | None],
) -> None:
    checked = 0
    for pattern, dfa in automata.items():
        shortest = dfa and dfa.shortest()
        # Python spells these differently, or means something else by them.
        foreign = re.search(r"\\[pPcu]|\[\^?\]|\(\?<|\[\[|--|&&|~~|\|\|", pattern)
        if shortest is None or foreign or not shortest.isascii():
            continue
        try:
            compiled = re.compile(pattern, re.ASCII)
        except re.error:
            continue
        checked += 1
        assert compiled.search(shortest.decode()), (pattern, shortest)
    assert checked > 1000
