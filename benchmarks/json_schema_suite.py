"""The JSON Schema Test Suite, drafts 7 and 2020-12, written through the masks.

    python benchmarks/json_schema_suite.py [FILE] [--quick] [--json OUT]

Every instance is written token by token under the masks of its schema, as in maskbench.py. The
suite does not order the members of its documents by the schema and takes 1.0 for an integer, so
guided runs with property_order="any" and numbers="any"; formats are asserted in the tests of
formats only, as the suite wants them to be. Schemas without "$schema" are given that of their
draft.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import data
from harness.figures import Figure, Report, Table
from harness.runner import NotRunError, run_cases
from harness.tally import Tally
from tqdm import tqdm

OURS = "guided-any-order"
FORMATS = "optional/format/"
OPTIONAL = "/optional/"
NOTHING_IS_VALID = "UnsatisfiableSchemaError"


@dataclass
class Verdicts:
    """Tests by how they were judged. What refuses a schema as unsatisfiable judges its tests."""

    tests: int = 0
    judged: int = 0
    right: int = 0
    required_wrong: int = 0

    def add(self, case: data.Case, result: Mapping[str, Any]) -> None:
        """Counts the tests of one schema."""
        self.tests += len(case.instances)
        if result["status"] == "compiled":
            verdicts = [(test["valid"], test["accepted"]) for test in result["tests"]]
        elif result.get("kind") == NOTHING_IS_VALID:
            verdicts = [(instance.valid, False) for instance in case.instances]
        else:
            return
        right = sum(valid == accepted for valid, accepted in verdicts)
        self.judged += len(verdicts)
        self.right += right
        self.required_wrong += len(verdicts) - right if OPTIONAL not in case.name else 0

    def figures(self) -> list[Figure]:
        """What the targets name."""
        return [
            Figure("suite_required_tests_judged_wrongly", self.required_wrong, "tests", "== 0"),
            Figure("suite_right", 100 * self.right / max(1, self.tests), "% of tests", ">= 95"),
            Figure("suite_right_of_judged", 100 * self.right / max(1, self.judged), "% of judged"),
        ]


def run_engine(
    name: str, cases: Sequence[data.Case], options: argparse.Namespace
) -> tuple[dict[str, Tally], Verdicts, list[str]]:
    """A tally for each draft, and the instances that were judged wrongly. Raises NotRunError."""
    tallies = {case.group: Tally(name) for case in cases}
    verdicts, wrong = Verdicts(), []
    if name == OURS:
        about_formats = [case for case in cases if FORMATS in case.name]
        others = [case for case in cases if FORMATS not in case.name]
        results = itertools.chain(
            run_cases("guided-standard", others, options.time_limit),
            run_cases("guided-standard-formats", about_formats, options.time_limit),
        )
    else:
        results = run_cases(name, cases, options.time_limit)
    for case, result in tqdm(results, name, len(cases), disable=None, leave=False):
        tallies[case.group].add(case, result)
        verdicts.add(case, result)
        for test, instance in zip(result.get("tests", []), case.instances, strict=False):
            if test["valid"] != test["accepted"]:
                verdict = "accepts" if test["accepted"] else f"rejects at token {test['at']} of"
                schema, text = case.schema[:400], instance.text[:200]
                wrong.append(f"{case.name}: {verdict} {text} under {schema}")
        if result["status"] in ("crashed", "timeout"):
            wrong.append(f"{case.name}: {result['kind']} {result['message']} {case.schema[:400]}")
    return tallies, verdicts, wrong


def cells(tally: Tally) -> list[str]:
    right = tally.valid + tally.invalid - tally.wrong_acceptances - tally.wrong_rejections
    counts = [
        tally.schemas,
        tally.compiled,
        tally.refusals.total(),
        tally.crashes.total() + tally.timeouts.total(),
        right,
        tally.wrong_acceptances,
        tally.wrong_rejections,
    ]
    return [str(count) for count in counts]


def figures(tallies: Sequence[Tally]) -> list[Figure]:
    """What the targets name, over both drafts."""
    schemas = sum(t.schemas for t in tallies)
    compiled = sum(t.compiled for t in tallies)
    failed = sum(t.crashes.total() + t.timeouts.total() for t in tallies)
    accepted = sum(t.wrong_acceptances for t in tallies)
    rejected = sum(t.wrong_rejections for t in tallies)
    tried = max(1, sum(t.valid for t in tallies))
    return [
        Figure("suite_wrong_acceptances", accepted, "tests", "== 0"),
        Figure("suite_crashes_and_timeouts", failed, "schemas", "== 0"),
        Figure("suite_compiled", 100 * compiled / max(1, schemas), "% of schemas"),
        Figure("suite_wrong_rejections", 100 * rejected / tried, "% of valid"),
    ]


def run(path: Path, options: argparse.Namespace) -> Report:
    """Runs the engines one after the other and gathers the report."""
    report = Report("json_schema_suite", "JSON Schema Test Suite, drafts 7 and 2020-12")
    cases = data.sample(data.load_suite(path), options.limit, options.seed)
    columns = ["engine and draft", "schemas", "compiled", "refused", "crashed or timed out"]
    columns += ["right", "wrongly accepted", "wrongly rejected"]
    table = Table(columns)
    report.tables.append(table)
    report.notes.append(f"data: {path.name}, {len(cases)} groups")
    for name in options.engines:
        try:
            tallies, verdicts, wrong = run_engine(name, cases, options)
        except NotRunError as error:
            report.notes.append(f"{name}: not run, {error}")
            continue
        table.rows += [[f"{name}, {draft}", *cells(t)] for draft, t in sorted(tallies.items())]
        refusals = sum((t.refusals for t in tallies.values()), Counter[str]())
        shown = ", ".join(f"{kind} {n}" for kind, n in refusals.most_common(15))
        report.notes.append(f"{name} refused: {shown or 'nothing'}")
        if name == OURS:
            report.figures = figures(list(tallies.values())) + verdicts.figures()
        if options.wrong:
            print("\n".join(wrong))
    return report


def nothing(path: str) -> Report:
    """The report where the suite is not at hand."""
    report = Report("json_schema_suite", "JSON Schema Test Suite, drafts 7 and 2020-12")
    url = data.PUBLIC_SETS[path]
    report.notes.append(f"not run: {path} is not at hand; it is made from {url}")
    return report


def main(given: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", help="a .jsonl.gz file of groups")
    parser.add_argument("--engines", default=f"{OURS},llguidance,xgrammar", help="comma-separated")
    parser.add_argument("--limit", type=int, help="so many groups")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-limit", type=float, default=5.0, help="seconds")
    parser.add_argument("--quick", action="store_true", help="100 groups, under a minute")
    parser.add_argument("--wrong", action="store_true", help="print what is judged wrongly")
    parser.add_argument("--json", help="write figures and tables to this file")
    options = parser.parse_args(given)
    options.engines = options.engines.split(",")
    if options.quick:
        options.limit = options.limit or 100
    name = "json_schema_test_suite.jsonl.gz"
    path = Path(options.file) if options.file else data.shared_file(name)
    report = nothing(name) if path is None else run(path, options)
    report.finish(options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
