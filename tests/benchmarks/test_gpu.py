"""The GPU run's parts that need no GPU."""

import json

import gpu
import torch
from harness import gpu_kernels, requirements
from packaging.requirements import Requirement


def test_counts_are_those_of_the_log(tmp_path):
    log = tmp_path / "log.xml"
    suite = '<testsuite name="pytest" errors="1" failures="2" skipped="3" tests="9" />'
    log.write_text(f"<testsuites>{suite}</testsuites>")
    assert gpu.suite_counts(log) == {"tests": 9, "failures": 2, "errors": 1, "skipped": 3}


def test_a_process_that_fails_or_takes_too_long_is_told(capfd):
    assert gpu.run(["true"], 10)
    assert not gpu.run(["false"], 10)
    assert not gpu.run(["sleep", "30"], 1)
    assert "stopped after 1 seconds" in capfd.readouterr().err


def test_results_of_shapes_stand_beside_that_of_the_cpu(tmp_path):
    written = tmp_path / "written.json"
    written.write_text(json.dumps({"benchmark": "speculative", "title": "Drafts"}))
    gpu.rename(written, tmp_path, "1b_extraction", "1b")
    kept = json.loads((tmp_path / "speculative_gpu_1b_extraction.json").read_text())
    assert kept["benchmark"] == "speculative_gpu_1b_extraction"
    assert "1b" in kept["title"]


def test_all_parts_together_stay_under_ten_minutes():
    parts = {f"{part} {shape}" for part in gpu.SPECULATIVE for shape in ("1b", "8b")}
    assert set(gpu.LIMITS) == {"tests", "kernels", "masks", *parts}
    assert sum(gpu.LIMITS.values()) < 600


def test_without_a_gpu_nothing_is_measured_or_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    output = tmp_path / "RESULTS.md"
    assert gpu.main(["--kept", str(tmp_path / "kept"), "--output", str(output)]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert not output.exists()


def test_the_timed_kernels_run(monkeypatch):
    monkeypatch.setattr(gpu_kernels, "DEVICE", torch.device("cpu"))
    for call in gpu_kernels.kernels(2, 64).values():
        call()


def test_requirements_are_met_by_version():
    assert requirements.is_met(Requirement("torch"))
    assert not requirements.is_met(Requirement("torch>=1000"))
    assert not requirements.is_met(Requirement("no-such-distribution"))
