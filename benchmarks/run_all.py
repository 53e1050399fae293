"""Runs every benchmark and writes RESULTS.md.

python benchmarks/run_all.py [--quick] [--only NAME …]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

import report


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="each under a minute; no RESULTS.md")
    parser.add_argument("--only", nargs="+", choices=report.ORDER, default=report.ORDER)
    options = parser.parse_args(given)
    kept = report.HERE / "results"
    kept.mkdir(exist_ok=True)
    failed = []
    for name in options.only:
        command = [sys.executable, str(report.HERE / f"{name}.py")]
        command += ["--quick"] if options.quick else ["--json", str(kept / f"{name}.json")]
        print(f"\n== {name}", flush=True)
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if not options.quick:
        report.write(report.HERE / "RESULTS.md", kept)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
