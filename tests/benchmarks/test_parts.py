"""Benchmarks of several parts: which parts run, and what the report is called."""

import pytest
from harness.figures import Report
from harness.parts import measured, parser_of

RAN: list[str] = []
PARTS = {
    "one_half": lambda options, report: RAN.append("one_half"),
    "other": lambda options, report: report.notes.append("other"),
}


def run(*given: str, besides: tuple[str, ...] = ()) -> Report:
    options = parser_of("What it does.\n\nMore.", PARTS).parse_args(given)
    return measured(PARTS, options, "name", "Title", "all of it", besides)


def test_without_a_choice_all_parts_run(capsys: pytest.CaptureFixture[str]) -> None:
    RAN.clear()
    report = run()
    assert (report.benchmark, report.title) == ("name", "Title: all of it")
    assert (RAN, report.notes) == (["one_half"], ["other"])
    assert capsys.readouterr().err == "one_half …\nother …\n"


def test_some_parts_are_a_section_of_their_own() -> None:
    report = run("--only", "one_half", besides=("random",))
    assert (report.benchmark, report.title) == ("name_one_half_random", "Title: one half, random")
    assert report.notes == []


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--only", "third")
    assert "third" in capsys.readouterr().err
