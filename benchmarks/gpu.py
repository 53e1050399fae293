"""Everything of the repository that needs a GPU: its tests, kernels, masks and drafts.

    python benchmarks/gpu.py [--only PART …] [--shapes SHAPE …] [--kept FOLDER] [--output FILE]

`benchmarks/gpu.sh` sets up an environment and calls it. Every part is a process of its own with a
limit of time, so that one that fails leaves the results of the others; those that measure several
things write down each as soon as they have it. All limits together are under ten minutes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path

import report
import torch
from harness import gpu_kernels, gpu_masks
from harness.figures import Figure, Report

ROOT = report.HERE.parent
TESTS = ("tests/gpu", "tests/kernels")
#: Seconds that a process may take: the tests, the kernels, the masks, and each part of the
#: speculative benchmark for each shape (loading included).
LIMITS = {
    "tests": 150,
    "kernels": 40,
    "masks": 90,
    "extraction 1b": 70,
    "free_text 1b": 60,
    "extraction 8b": 100,
    "free_text 8b": 75,
}
#: Parts of the speculative benchmark whose figures differ on a GPU.
SPECULATIVE = ("extraction", "free_text")


def run(command: Sequence[str], limit: int) -> bool:
    """Whether the command ended well in time; its output is shown."""
    print(f"\n== {' '.join(command[1:])}", flush=True)
    try:
        return subprocess.run(command, cwd=ROOT, check=False, timeout=limit).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"stopped after {limit} seconds", file=sys.stderr)
        return False


def measure_tests(options: argparse.Namespace) -> bool:
    """Runs the tests marked `gpu`."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.xml"
        # -P: the links to the package come before the folder, whose parts lie elsewhere.
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-m", "gpu"]
        command += [f"--junit-xml={log}", *TESTS]
        if importlib.util.find_spec("xdist"):
            # Machine code is what a first run waits for: several processes compile it.
            # A plugin for benchmarks would warn that it is off then, and warnings are errors.
            command += ["-n", str(min(6, os.cpu_count() or 1)), "--dist", "loadfile"]
            command += ["-p", "no:benchmark"]
        fine = run(command, LIMITS["tests"])
        counts = suite_counts(log) if log.exists() else {}
    failed = counts.get("failures", 0) + counts.get("errors", 0)
    # None: the tests did not come to their end.
    figures = [
        Figure("gpu_tests_run", counts.get("tests"), "tests", ">= 1"),
        Figure("gpu_tests_failed", failed if counts else None, "tests", "== 0"),
        Figure("gpu_tests_skipped", counts.get("skipped"), "tests", "== 0"),
    ]
    keep(Report("gpu_tests", "Tests on a GPU", figures), options.kept)
    return fine


def suite_counts(log: Path) -> dict[str, int]:
    """How many tests a JUnit file tells of, by their end."""
    suite = next(ElementTree.parse(log).getroot().iter("testsuite"))
    return {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}


def measure_kernels(options: argparse.Namespace) -> bool:
    """Times the kernels beside their torch references."""
    if not options.here:
        return elsewhere("kernels", options)
    found = Report("gpu_kernels", "Kernels on a GPU: Triton beside torch")
    gpu_kernels.measure(found)
    keep(found, options.kept)
    return True


def measure_masks(options: argparse.Namespace) -> bool:
    """Times decoding under a schema beside free decoding, for the largest shape."""
    if not options.here:
        return elsewhere("masks", options)
    shape = options.shapes[-1]
    found = Report(f"gpu_masks_{shape}", f"Masks on a GPU, {shape} parameters, random weights")
    # What is measured last may not come to its end.
    for _ in gpu_masks.measure(found, shape, "cuda"):
        keep(found, options.kept)
    return True


def elsewhere(part: str, options: argparse.Namespace) -> bool:
    """Measures a part in a process of its own; whether it ended well in time."""
    command = [sys.executable, "benchmarks/gpu.py", "--here", "--only", part]
    command += ["--kept", str(options.kept), "--shapes", *options.shapes]
    return run(command, LIMITS[part])


def measure_speculation(options: argparse.Namespace) -> bool:
    """Runs the speculative benchmark for every shape, each part by itself."""
    fine = True
    for shape in options.shapes:
        for part in SPECULATIVE:
            with tempfile.TemporaryDirectory() as folder:
                written = Path(folder) / "speculative.json"
                command = [
                    sys.executable, "benchmarks/speculative.py", "--brief", "--device", "cuda",
                    "--shape", shape, "--only", part, "--json", str(written),
                ]  # fmt: skip
                fine &= run(command, LIMITS[f"{part} {shape}"])
                if written.exists():
                    rename(written, options.kept, f"{shape}_{part}", shape)
    return fine


def rename(written: Path, kept: Path, name: str, shape: str) -> None:
    """Keeps a result of the speculative benchmark beside that of other shapes and devices."""
    result = json.loads(written.read_text(encoding="utf-8"))
    result["benchmark"] = f"speculative_gpu_{name}"
    result["title"] = f"{result['title']}, on a GPU, {shape} parameters, random weights"
    target = kept / f"{result['benchmark']}.json"
    target.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def keep(found: Report, kept: Path) -> None:
    found.finish(str(kept / f"{found.benchmark}.json"))


PARTS: dict[str, Callable[[argparse.Namespace], bool]] = {
    "tests": measure_tests,
    "kernels": measure_kernels,
    "masks": measure_masks,
    "speculation": measure_speculation,
}


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--shapes", nargs="+", choices=["1b", "8b"], default=["1b", "8b"])
    parser.add_argument("--kept", type=Path, default=report.HERE / "results")
    parser.add_argument("--output", type=Path, default=report.HERE / "RESULTS.md")
    parser.add_argument("--here", action="store_true", help="kernels, masks: in this process")
    options = parser.parse_args(given)
    if not torch.cuda.is_available():
        print("no CUDA device: torch.cuda.is_available() is False", file=sys.stderr)
        return 2
    options.kept.mkdir(parents=True, exist_ok=True)
    failed = [name for name in options.only if not PARTS[name](options)]
    if not options.here:
        report.write(options.output, options.kept)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
