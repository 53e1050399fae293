"""What examples/anchored.py takes and what it writes."""

from __future__ import annotations

import runpy
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "anchored.py"


@pytest.fixture
def run(monkeypatch, capsys):
    def go(*given: object) -> str:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, given)])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return str(capsys.readouterr().out)

    return go


def test_copying_rises_with_k_between_the_two_models(run, tmp_path):
    plot = tmp_path / "anchored.svg"
    printed = run("--k", 20, 0, "--count", 4, "--plot", plot)
    rows = {line[:8].strip(): line.split() for line in printed.splitlines()[1:5]}
    assert list(rows) == ["risky", "k = 0", "k = 20", "safe"]
    # At k = 0 every draw is the safe model's, at k = 20 the risky model's.
    assert rows["k = 0"][3:] == rows["safe"][1:]
    assert rows["k = 20"][3:-1] == rows["risky"][1:-1]
    assert float(rows["risky"][1]) > float(rows["safe"][1]) + 0.2
    assert str(plot) in printed
    assert "copied less" in "".join(ElementTree.parse(plot).getroot().itertext())


def test_other_files_are_taken(run, tmp_path):
    passages, facts = tmp_path / "passages.jsonl", tmp_path / "facts.jsonl"
    lines = (SCRIPT.parent / "data" / "protected_passages.jsonl").read_text().splitlines()
    passages.write_text("\n".join(lines[:2]) + "\n")
    facts.write_text('{"prompt": "Gazetteer: Elness\\n", "facts": {"craft": "salt"}}\n')
    printed = run("--passages", passages, "--facts", facts, "--k", 0.5)
    assert len(printed.splitlines()) == 4


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--k", "-1"], "k is a budget in nats"),
        (["--k", "nan"], "k is a budget in nats"),
        (["--plot", "out.png"], r"ends with \.svg, not out\.png"),
        (["--plot", "out.svg", "--k", "1", "1"], "at least two values of --k"),
        (["--passages", "no_such_file.jsonl"], "no_such_file.jsonl cannot be read"),
        (["--facts", str(SCRIPT)], "cannot be read as lines of JSON"),
        (["--passages", str(SCRIPT.parent / "data" / "towns.jsonl")], "line 1: not an object with"),
    ],
)
def test_bad_input_is_told_in_one_line(run, given, told):
    with pytest.raises(SystemExit, match=told) as raised:
        run(*given)
    assert str(raised.value).startswith("anchored.py: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("given", [["--count", "0"], ["--samples", "x"], ["--k"], ["--k", "much"]])
def test_what_argparse_refuses_is_usage(run, given, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(*given)
    assert "usage:" in capsys.readouterr().err


def test_an_empty_file_and_other_shapes_are_refused(run, tmp_path):
    empty, shape = tmp_path / "empty.jsonl", tmp_path / "shape.jsonl"
    empty.write_text("\n")
    shape.write_text('{"prompt": "a", "facts": ["salt"]}\n')
    with pytest.raises(SystemExit, match="has no lines"):
        run("--facts", empty)
    with pytest.raises(SystemExit, match="line 1: facts is not"):
        run("--facts", shape)
