"""Automata that are kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guided.grammars import disk_cache
from guided.grammars.automata import Dfa, literals
from guided.grammars.automata.kept import kept
from guided.grammars.json_schema import formats


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(disk_cache.VARIABLE, str(tmp_path))
    return tmp_path


class Maker:
    """Makes an automaton and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Dfa:
        self.count += 1
        return literals([b"ab", b"cd", b"c"]).repeat(1)


def test_it_is_made_once_and_comes_back_as_it_was() -> None:
    make = Maker()
    made, read = kept("some", make), kept("some", make)
    assert make.count == 1
    assert read == made
    for name in ("transitions", "classes", "accepting", "distance"):
        before, after = getattr(made, name), getattr(read, name)
        assert before.dtype == after.dtype
        assert np.array_equal(before, after)
    assert read.accepts(b"abccd")
    assert (read | literals([b"x"])).accepts(b"x")
    kept("other", make)
    assert make.count == 2


@pytest.mark.parametrize(
    "content",
    [
        {"automaton": np.zeros(0, np.int32)},
        {"automaton": np.zeros(300, np.int64)},
        {"automaton": np.full(2 + 256 + 3, 7, np.int32)},
        {"automaton": np.array([1, 1, *[0] * 258, 5], np.int32)},
        {"automaton": np.array([1, 1, *[1] * 258, -1], np.int32)},
        {"other": np.zeros(3, np.int32)},
    ],
)
def test_what_is_no_automaton_is_made_again(
    folder: Path, content: dict[str, np.ndarray[tuple[int], np.dtype[np.int32]]]
) -> None:
    make = Maker()
    made = kept("some", make)
    (path,) = folder.iterdir()
    disk_cache.save(path.stem, content)
    assert kept("some", make) == made
    assert make.count == 2


def test_formats_come_back_as_they_were(folder: Path) -> None:
    made = formats._made("date-time")
    for _ in range(2):
        formats.format_language.cache_clear()
        assert formats.format_language("date-time") == made
    assert len(list(folder.iterdir())) == 1
    formats.format_language.cache_clear()
