"""The parts of the benchmarks that need no engine."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from harness import data, runner
from harness.figures import Figure, Report, Table, number
from harness.runner import NotRunError, Worker, run_in_turn
from harness.tally import Tally, micro, ratios

CASES = [
    data.Case(f"{group}{i}", group, "{}", ())
    for group, n in (("a", 80), ("b", 20))
    for i in range(n)
]


def test_a_sample_takes_from_every_group_in_proportion_and_is_reproducible():
    found = data.sample(CASES, 20, seed=3)
    assert Counter(case.group for case in found) == {"a": 16, "b": 4}
    assert found == data.sample(CASES, 20, seed=3)
    assert found != data.sample(CASES, 20, seed=4)


def test_without_a_limit_the_sample_is_everything_in_random_order():
    found = data.sample(CASES, None, seed=0)
    assert sorted(c.name for c in found) == sorted(c.name for c in CASES)


def test_a_figure_holds_exactly_when_its_target_is_met():
    assert Figure("x", 60, "µs", "<= 60").holds is True
    assert Figure("x", 84.9, "%", ">= 85").holds is False
    assert Figure("x", 1, "", "== 0").holds is False
    assert Figure("x", None, "", "== 0").holds is None
    assert Figure("x", 3, "").holds is None


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0123, "0.0123"), (17.0, "17"), (123.44, "123.4"), (98765.4, "98,765")]
)
def test_numbers_are_short_and_without_exponents(value: float, shown: str):
    assert number(value) == shown


def test_the_json_file_has_the_agreed_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    table = Table(["", "engine"], [["coverage", "90"]])
    report = Report("demo", "A demo", [Figure("tbm_mean", 12.5, "µs", "<= 60")], [table], ["note"])
    report.finish(str(tmp_path / "out.json"))
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    expected = {"name": "tbm_mean", "value": 12.5, "unit": "µs", "target": "<= 60", "holds": True}
    assert written["figures"] == [expected]
    assert {"cpu", "cores", "gpu"} <= set(written["machine"])
    assert written["versions"]["numpy"]
    assert "| coverage |" in capsys.readouterr().out


def test_results_page_is_made_of_the_json_files(tmp_path: Path):
    import report as results_page

    for name in ("cold_start", "maskbench"):
        made = Report(name, f"Title of {name}", [Figure("f", 1.0, "s", "<= 2")])
        (tmp_path / f"{name}.json").write_text(json.dumps(made.as_json()), encoding="utf-8")
    results_page.write(tmp_path / "RESULTS.md", tmp_path)
    page = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert page.index("Title of maskbench") < page.index("Title of cold_start")
    assert "<= 2" in page


def _tally(engine: str, ttfm: dict[str, int]) -> Tally:
    tally = Tally(engine)
    for name, time in ttfm.items():
        result = {"status": "compiled", "ttfm": time, "tbm": [time, 3 * time], "tests": []}
        tally.add(data.Case(name, "g", "{}", ()), result)
    return tally


def test_ratios_compare_only_what_both_engines_compiled():
    ours, peer = _tally("guided", {"a": 10, "b": 1000}), _tally("peer", {"a": 20, "c": 1})
    assert ratios(ours, [peer], "ttfm", "p50") == {"peer": 0.5}
    assert micro(ours.tbm_of(["a"]), "mean") == pytest.approx(0.02)


def test_wrong_verdicts_are_counted_by_kind():
    tally = Tally("guided")
    tests = [
        {"valid": True, "accepted": True, "at": 3},
        {"valid": True, "accepted": False, "at": 1},
        {"valid": False, "accepted": True, "at": 3},
    ]
    tally.add(CASES[0], {"status": "compiled", "ttfm": 1, "tbm": [1], "tests": tests})
    tally.add(CASES[1], {"status": "refused", "kind": "not", "message": ""})
    assert (tally.wrong_rejections, tally.wrong_acceptances, tally.passed) == (1, 1, 0)
    assert (tally.coverage, tally.wrong_acceptance_rate) == (0.0, 100.0)
    assert tally.refusals == {"not": 1}


def test_what_another_engine_accepts_can_be_left_out_of_the_count():
    strict, free = Tally("guided"), Tally("guided-any-order")

    def add(tally: Tally, case: data.Case, *verdicts: tuple[bool, bool]) -> None:
        tests = [{"valid": valid, "accepted": accepted, "at": 1} for valid, accepted in verdicts]
        tally.add(case, {"status": "compiled", "ttfm": 1, "tbm": [1], "tests": tests})

    cases = [data.Case(name, "g", "{}", ()) for name in "abcd"]
    add(strict, cases[0], (True, False), (True, True), (False, False))
    add(free, cases[0], (True, True), (True, True), (False, False))
    for tally in (strict, free):  # rejected by both: a fault that has nothing to do with the option
        add(tally, cases[1], (True, False), (True, True))
    add(strict, cases[2], (True, False), (False, True))
    add(free, cases[2], (True, True), (False, True))
    add(strict, cases[3], (True, False))
    free.add(cases[3], {"status": "timeout", "kind": "timeout", "message": ""})
    left = strict.but_for(free)
    assert (strict.passed, strict.valid, strict.wrong_rejections) == (0, 6, 4)
    assert (left.passed, left.valid, left.wrong_rejections) == (1, 4, 2)
    assert left.wrongly_rejecting == {"b": {0}, "d": {0}}
    assert left.wrong_acceptances == 1


def _worker(script: str, limit: float) -> Worker:
    worker = Worker("guided", "cpu", limit)
    worker._command = [sys.executable, "-c", script]
    return worker


def test_a_worker_that_hangs_is_killed_and_counts_as_a_timeout():
    worker = _worker("print('{\"ready\": 1}', flush=True)\nwhile True: pass", 0.3)
    assert worker.ask({})["status"] == "timeout"
    assert worker.ask({})["kind"] == "timeout (compile)"
    worker.stop()


def test_a_worker_that_dies_counts_as_a_crash():
    worker = _worker("print('{\"ready\": 1}', flush=True); input(); import os; os.abort()", 5)
    assert worker.ask({})["status"] == "crashed"
    worker.stop()


def test_an_engine_that_cannot_be_imported_is_reported_with_the_reason():
    worker = _worker('print(\'{"missing": "no module x"}\', flush=True)', 5)
    with pytest.raises(NotRunError, match="no module x"):
        worker.start()


class _Engine:
    """Stands in for a process: tells who was asked, and is missing where its name says so."""

    def __init__(self, engine: str, clock: str, limit: float) -> None:
        self._engine = engine

    def ask(self, job: dict[str, object]) -> dict[str, object]:
        if self._engine == "missing":
            raise NotRunError("no module")
        return {"status": "compiled", "by": self._engine}

    def stop(self) -> None:
        pass


def test_engines_take_turns_with_the_same_schemas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "Worker", _Engine)
    wanted = {"x": CASES[:5], "missing": CASES[:5], "y": CASES[:5], "slow": CASES[1:2]}
    seen = [
        (engine, case.name, isinstance(result, NotRunError))
        for engine, case, result in run_in_turn(wanted, 1, at_once=2)
    ]
    a, b, c, d, e = (case.name for case in CASES[:5])
    first = [("x", a), ("x", b), ("missing", a), ("y", a), ("y", b), ("slow", b)]
    second = [("y", c), ("y", d), ("x", c), ("x", d)]
    third = [("x", e), ("y", e)]
    assert [(engine, name) for engine, name, _ in seen] == first + second + third
    assert [absent for *_, absent in seen] == [name == "missing" for name, *_ in seen]
