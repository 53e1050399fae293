"""The process that runs one engine: jobs come in on stdin, results go out on stdout.

A job is a line of JSON, `{"schema": text, "tests": [{"valid": bool, "ids": [token, …]}]}`. Answers
are lines of JSON: `{"ready": …}` once, then per job a line when the first mask is there, one after
every instance (so that the parent's clock can start anew), and the result itself.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from . import engines, tekken

Clock = Callable[[], int]
# What engines load when they first need it is loaded: it takes longer than most schemas.
WARM_UP: tuple[tuple[Any, Any], ...] = (
    (
        {
            "type": "object",
            "properties": {
                "a": {"type": "string"},
                "b": {"type": "array", "items": {"type": "number"}},
                "c": {"enum": [True, None, "x"]},
            },
            "required": ["a"],
            "additionalProperties": False,
        },
        {"a": "x", "b": [1.5], "c": None},
    ),
    ({"type": "string", "pattern": "^[a-z\u00e9\\-]+$", "minLength": 2, "maxLength": 9}, "ab"),
    ({"type": "string", "pattern": "^(?!ab)[a-z]+$"}, "ac"),
    ({"enum": ["ab", "b"], "pattern": "^a"}, "ab"),
    ({"type": "string", "format": "date-time", "maxLength": 40}, "2024-01-01T00:00:00Z"),
    (
        {
            "type": "object",
            "patternProperties": {"^x-": {"type": "integer", "minimum": 3}, "^y": {"const": 1}},
            "additionalProperties": {"type": "string", "pattern": "^[ab]*c"},
            "propertyNames": {"pattern": "^.{1,9}$"},
            "maxProperties": 3,
        },
        {"x-a": 4, "zz": "ac"},
    ),
    (
        {
            "type": "array",
            "uniqueItems": True,
            "items": {"anyOf": [{"type": "object"}, {"enum": ["a", "b"]}, {"multipleOf": 5}]},
        },
        [{"a": 1}, {"a": 2}, "a", 10],
    ),
)


def clock_cost(clock: Clock) -> int:
    """What an empty interval reads: the median of many."""
    reads = []
    for _ in range(1001):
        start = clock()
        reads.append(clock() - start)
    return sorted(reads)[500]


class Stopwatch:
    """Nanoseconds of one thing after the other.

    A clock of CPU time takes as long to read as the shortest steps do. So it only tells whether
    another process had the core meanwhile: where that is not so, the wall clock inside is exact.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.cost = clock_cost(clock)

    def start(self) -> tuple[int, int]:
        """Begins; what it returns goes to `read`."""
        return self._clock(), time.perf_counter_ns()

    def read(self, started: tuple[int, int]) -> int:
        """How long it took."""
        passed = time.perf_counter_ns() - started[1]
        spent = self._clock() - started[0]
        return passed if passed <= spent else max(0, spent - self.cost)


def write_instance(
    matcher: engines.Matcher, ids: Sequence[int], stop_id: int, watch: Stopwatch, steps: list[int]
) -> tuple[bool, int]:
    """Whether the engine lets `ids` and then the stop token pass, and where it did not.

    Appends the time of every step (take a token, compute the next mask) to `steps`.
    The first mask is already there.
    """
    for position, token in enumerate(ids):
        if not matcher.allows(token):
            return False, position
        started = watch.start()
        accepted = matcher.accept(token)
        matcher.mask()
        steps.append(watch.read(started))
        if not accepted:
            raise RuntimeError(f"the mask allows token {token}, the engine does not take it")
    return matcher.allows(stop_id), len(ids)


def run_job(
    engine: engines.Engine,
    job: Mapping[str, Any],
    stop_id: int,
    watch: Stopwatch,
    report: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Compiles the schema, writes every instance, and returns what came of it."""
    started = watch.start()
    try:
        compiled = engine.compile(job["schema"])
        matcher = compiled.start()
        matcher.mask()
    except engines.RefusedError as error:
        return {"status": "refused", "kind": error.kind, "message": str(error)[:500]}
    first = watch.read(started)
    report({"compiled": True})
    steps: list[int] = []
    tests = []
    for number, test in enumerate(job["tests"]):
        if number:
            matcher = compiled.start()
            matcher.mask()
        accepted, position = write_instance(matcher, test["ids"], stop_id, watch, steps)
        tests.append({"valid": test["valid"], "accepted": accepted, "at": position})
        report({"instance": number})
    return {"status": "compiled", "ttfm": first, "tbm": steps, "tests": tests}


def answer(
    engine: engines.Engine,
    job: Mapping[str, Any],
    stop_id: int,
    watch: Stopwatch,
    report: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """`run_job`, with everything that the engine did not mean to raise as a crash."""
    try:
        return run_job(engine, job, stop_id, watch, report)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a Rust panic is a BaseException
        kind = type(error).__name__
        return {"status": "crashed", "kind": kind, "message": str(error)[:500]}


def serve(engine_name: str, clock: Clock, stdin: TextIO, stdout: TextIO) -> None:
    """Answers jobs until stdin ends."""

    def report(message: dict[str, Any]) -> None:
        stdout.write(json.dumps(message) + "\n")
        stdout.flush()

    table = tekken.table()
    try:
        engine = engines.build(engine_name, table)
    except ImportError as error:
        report({"missing": f"{type(error).__name__}: {error}"})
        return
    watch = Stopwatch(clock)
    encode = tekken.encoder()
    for schema, document in WARM_UP[:1] if engine_name in engines.SLOW else WARM_UP:
        test = {"valid": True, "ids": list(encode(json.dumps(document)))}
        job = {"schema": json.dumps(schema), "tests": [test]}
        answer(engine, job, table.stop_id, watch, lambda message: None)
    # What was loaded so far is not looked through again: that would count as the engine's time.
    gc.collect()
    gc.freeze()
    report({"ready": engine_name, "clock_cost": watch.cost})
    for line in stdin:
        report(answer(engine, json.loads(line), table.stop_id, watch, report))


def limit_memory(size: int) -> None:
    """Lets allocations beyond so many bytes fail: an engine that explodes must not harm others."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    size = size if most == resource.RLIM_INFINITY else min(size, most)
    resource.setrlimit(resource.RLIMIT_AS, (size, most))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("engine")
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    parser.add_argument("--memory", type=int, default=12, help="GiB of address space")
    options = parser.parse_args()
    limit_memory(options.memory << 30)
    # What engines print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    clock = time.process_time_ns if options.clock == "cpu" else time.perf_counter_ns
    serve(options.engine, clock, sys.stdin, answers)


if __name__ == "__main__":
    main()
