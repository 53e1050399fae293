"""Outcomes of searches that are kept between runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.searching.kept import Kept
from harness.searching.outcome import Outcome

FOUND = [Outcome([1.0], [2.0], [3.0], [4.0], 0.5), Outcome([0.0], [9.0], [3.0], [4.0], 0.25)]


def never() -> list[Outcome]:
    raise AssertionError("measured again")


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    assert Kept(path, "2 problems").get(["a", "b"], lambda: FOUND) == FOUND
    kept = Kept(path, "2 problems")
    assert kept.get(["a", "b"], never) == FOUND
    assert kept.get(["b"], never) == FOUND[1:]
    with pytest.raises(AssertionError, match="measured again"):
        kept.get(["c"], never)


def test_outcomes_of_another_setting_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    Kept(path, "2 problems").get(["a", "b"], lambda: FOUND)
    with pytest.raises(AssertionError, match="measured again"):
        Kept(path, "3 problems").get(["a"], never)


def test_without_a_file_nothing_is_kept() -> None:
    kept = Kept(None, "2 problems")
    assert kept.get(["a", "b"], lambda: FOUND) == FOUND
    assert kept.get(["a"], never) == FOUND[:1]
