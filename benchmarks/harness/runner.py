"""Running cases through an engine in a process of its own, which is killed when it overruns."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import tekken
from .data import Case

HERE = Path(__file__).resolve().parents[1]
THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
ONE_THREAD = dict.fromkeys(THREAD_COUNTS, "1") | {"TOKENIZERS_PARALLELISM": "false"}
START_LIMIT = 300.0
#: What is measured, by the name of the clock.
CLOCKS = {
    "cpu": "wall time, or CPU time where another process had the core meanwhile,",
    "wall": "wall time",
}
# On a busy machine a process may wait for its turn: the wall clock alone does not condemn it.
PATIENCE = 6.0


class NotRunError(Exception):
    """The engine's package cannot be imported."""


class OverrunError(Exception):
    """The worker did not answer in time, or died."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class Worker:
    """One engine's process."""

    def __init__(self, engine: str, clock: str, limit: float) -> None:
        self._command = [sys.executable, "-m", "harness.worker", engine, "--clock", clock]
        self._limit = limit
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""

    def start(self) -> None:
        """Starts the process, where it does not run. Raises NotRunError."""
        if self._process is not None:
            return
        self._pending = b""
        self._process = subprocess.Popen(
            self._command,
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if "BENCH_STDERR" not in os.environ else None,
            env=os.environ | ONE_THREAD,
        )
        try:
            hello = self._read(START_LIMIT)
        except OverrunError as error:
            self.stop()
            raise NotRunError(f"its process did not start ({error})") from None
        if "missing" in hello:
            self.stop()
            raise NotRunError(hello["missing"])

    def stop(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def finish(self) -> None:
        """Ends the process as it ends by itself: what it is about to write to disk is written."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self._process.stdin.close()
                self._process.wait(self._limit * PATIENCE)
        self.stop()

    def ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a job; a process that hangs or dies gives a result too."""
        self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        phase = "compile"
        try:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
            while "status" not in (message := self._read(self._limit)):
                phase = "instance"
        except (OverrunError, OSError) as error:
            self.stop()
            status = error.status if isinstance(error, OverrunError) else "crashed"
            return {"status": status, "kind": f"{status} ({phase})", "message": str(error)}
        return message

    def _cpu_seconds(self) -> float:
        """CPU time that the process has used; infinite where the system does not tell."""
        assert self._process is not None
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("inf")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _read(self, limit: float) -> dict[str, Any]:
        """The next message. Raises OverrunError after `limit` seconds of the worker's CPU time."""
        assert self._process is not None
        assert self._process.stdout is not None
        begin, cpu = time.monotonic(), self._cpu_seconds()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                waited = time.monotonic() - begin
                used = self._cpu_seconds() - cpu
                if waited >= limit * PATIENCE or (waited >= limit and used >= 0.9 * limit):
                    raise OverrunError("timeout", f"no answer within {limit:g} s")
                # Past the limit the CPU clock is looked at often, before it not at all.
                if not selector.select(max(0.2, limit - waited)):
                    continue
                chunk = os.read(self._process.stdout.fileno(), 1 << 20)
                if not chunk:
                    raise OverrunError("crashed", f"the process died ({self._process.wait()})")
                self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message


def job_of(case: Case) -> dict[str, Any]:
    """A case as the worker reads it, its instances as tokens."""
    encode = tekken.encoder()
    tests = [{"valid": i.valid, "ids": encode(i.text)} for i in case.instances]
    return {"schema": case.schema, "tests": tests}


def run_cases(
    engine: str, cases: Sequence[Case], limit: float, clock: str = "cpu"
) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Each case with its result. Raises NotRunError where the engine cannot be had."""
    worker = Worker(engine, clock, limit)
    worker.start()
    try:
        for case in cases:
            yield case, worker.ask(job_of(case))
    finally:
        worker.stop()


def run_in_turn(
    wanted: Mapping[str, Sequence[Case]], limit: float, clock: str = "cpu", at_once: int = 20
) -> Iterator[tuple[str, Case, dict[str, Any] | NotRunError]]:
    """The cases of every engine, `at_once` of one before the next engine reads the same ones.

    So a machine that grows slower within minutes does so for all of them. The engine that begins
    changes from turn to turn. One that cannot be had gives a NotRunError, once.
    """
    every = {case.name: case for cases in wanted.values() for case in cases}
    names = {engine: {case.name for case in cases} for engine, cases in wanted.items()}
    with contextlib.ExitStack() as stack:
        workers = {engine: Worker(engine, clock, limit) for engine in wanted}
        for worker in workers.values():
            stack.callback(worker.stop)
        cases = iter(every.values())
        while turn := tuple(itertools.islice(cases, at_once)):
            for engine in tuple(workers):
                for case in turn:
                    if case.name not in names[engine]:
                        continue
                    try:
                        result = workers[engine].ask(job_of(case))
                    except NotRunError as error:
                        del workers[engine]
                        yield engine, case, error
                        break
                    yield engine, case, result
            if workers:
                begun = next(iter(workers))
                workers[begun] = workers.pop(begun)


def fill_caches(engine: str, cases: Sequence[Case], limit: float) -> None:
    """Lets one process do all the cases, so that the next finds what it leaves on disk."""
    worker = Worker(engine, "cpu", limit)
    try:
        for case in cases:
            worker.ask(job_of(case))
    finally:
        worker.finish()
