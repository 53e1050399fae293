"""The benchmark of the cold start, on processes that do little."""

import argparse
import json

import pytest

pytest.importorskip("mistral_common")

import cold_start


def test_every_step_is_measured_in_wall_and_cpu_seconds():
    code = cold_start.CLOCK + 'mark("")\ntime.sleep(0.2)\nmark("sleep")\nmark("nothing")\nshow()'
    times = cold_start.measure(code)
    assert list(times) == ["sleep", "nothing"]
    (wall, cpu), nothing = times["sleep"], times["nothing"]
    assert wall >= 0.2 > cpu
    assert max(nothing) < 0.2


def test_measured_processes_have_one_thread_and_write_bytecode(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    check = """
import os, sys
assert not sys.dont_write_bytecode
assert os.environ["OMP_NUM_THREADS"] == "1"
assert os.environ["NUMBA_CACHE_DIR"] == "here"
show()
"""
    assert cold_start.measure(cold_start.CLOCK + check, {"NUMBA_CACHE_DIR": "here"}) == {}


def test_a_process_that_fails_is_told_with_what_it_wrote():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        cold_start.measure("1 / 0")


def test_the_report_has_the_medians_and_adds_up_the_first_mask(monkeypatch, tmp_path):
    answers = iter([9.0, 3.0, 1.0, 2.0] * 2)

    def measured(code: str) -> cold_start.Times:
        names = ["import guided", "vocabulary", "compile", "first mask"]
        time = next(answers)
        return {name: [time, 0.0] for name in names}

    monkeypatch.setattr(cold_start, "measure", measured)
    report = cold_start.run(argparse.Namespace(times=3, quick=True))
    # The first process fills the caches and does not count.
    figures = {figure.name: figure.value for figure in report.figures}
    assert figures == {"import_guided": 2.0, "first_mask": 6.0}
    report.finish(str(tmp_path / "out.json"))
    assert json.loads((tmp_path / "out.json").read_text())["benchmark"] == "cold_start"


def test_a_first_mask_is_made_in_the_steps_that_the_report_adds_up():
    times = cold_start.measure(cold_start.MASK)
    assert {"vocabulary", "compile", "first mask"} <= set(times)
    assert all(cpu >= 0 for _, cpu in times.values())
    assert times["compile"][1] > 0
