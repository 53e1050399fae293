"""Runs programs that nobody has read: in a process of their own, within limits.

What is contained: time, memory of each process, number of processes, size of files, open files,
output; everything that a program has started ends with it. It sees nothing of your environment, an
empty working directory, no standard input. Where Linux namespaces are to be had it sees no network,
and, where they may have a /proc of their own, no process but its own.

What is not: it can read what the user may read, and write where the user may write (started by
root it becomes `nobody`, if `nobody` can read the interpreter). It shares the kernel. Against
programs that are written to break out, put the whole thing into a virtual machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from guided.errors import InputError

_CHILD = Path(__file__).with_name("sandbox_child.py")
_NAMESPACES = ("--pid", "--net", "--ipc", "--fork", "--kill-child=SIGKILL")
_OWN_PROC = "--mount-proc"
_NOBODY = 65534
#: Seconds between two looks at a program that does nothing.
_PAUSE = 0.05


@dataclass(frozen=True)
class Ran:
    """How a program and its tests ran.

    Attributes:
        passed: which of the tests passed, by number.
        tests: how many there were.
        stopped: why the program was ended before its last test; "" if it was not.
        errors: what each failed test, or the program itself, raised.
        output: what was printed, to either stream, up to the limit.
        seconds: wall time.
    """

    passed: tuple[int, ...]
    tests: int
    stopped: str = ""
    errors: tuple[str, ...] = ()
    output: str = ""
    seconds: float = 0.0

    @property
    def fraction(self) -> float:
        """Share of the tests that passed; 0 for a program that had to be stopped."""
        return 0.0 if self.stopped or not self.tests else len(self.passed) / self.tests

    def __str__(self) -> str:
        lines = [f"{len(self.passed)} of {self.tests} tests passed in {self.seconds:.2f} s"]
        if self.stopped:
            lines.append(f"stopped: {self.stopped}; counts as 0")
        lines += self.errors
        if self.output:
            shown = self.output if len(self.output) <= 400 else self.output[:400] + " …"
            lines.append(f"output: {shown}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Sandbox:
    """Limits for programs.

    Args:
        seconds: of wall time.
        cpu_seconds: of computing, for each process.
        memory: bytes of address space, for each process.
        output: bytes that may be printed.
        file_size: bytes of each file that is written.
        open_files: at a time, for each process.
        processes: at a time, threads counted; 1 means that nothing can be started.
        python: the interpreter; the running one if not given.

    Raises:
        InputError: a limit that is not positive, or a system without POSIX processes.
    """

    seconds: float = 10.0
    cpu_seconds: int = 8
    memory: int = 1 << 29
    output: int = 1 << 16
    file_size: int = 1 << 20
    open_files: int = 32
    processes: int = 1
    python: str = field(default_factory=lambda: sys.executable)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "python" and value <= 0:
                raise InputError(f"{name} must be positive, not {value}")
        if os.name != "posix":
            raise InputError("programs can be contained on POSIX systems only")

    @property
    def contains(self) -> dict[str, bool]:
        """What is contained on this machine besides time, memory and output."""
        isolated, is_root = bool(_isolation()), os.getuid() == 0
        drops = is_root and _may_drop(self.python)
        return {
            "network": isolated,
            "other processes unseen": _OWN_PROC in _isolation(),
            "everything started ends": isolated,
            "processes limited by the kernel": not is_root or drops,
            "another user": drops,
        }

    def run(self, program: str, tests: Sequence[str]) -> Ran:
        """Runs a program, then the tests (Python statements that raise if they fail) after it."""
        folder = tempfile.mkdtemp(prefix="guided-sandbox-")
        try:
            drop = os.getuid() == 0 and _may_drop(self.python)
            if drop:
                os.chown(folder, _NOBODY, _NOBODY)
            return _Run(self, program, list(tests), folder, drop).ran()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _Run:
    """One program under way."""

    def __init__(
        self, sandbox: Sandbox, program: str, tests: list[str], folder: str, drop: bool
    ) -> None:
        self.sandbox, self.program, self.tests = sandbox, program, tests
        self.folder, self.drop = folder, drop
        self.stamp = secrets.token_hex(8)
        self.printed, self.told = bytearray(), bytearray()
        self.began = time.monotonic()
        self.watches = os.getuid() == 0 and not drop

    def ran(self) -> Ran:
        """Starts the program, waits for its end or brings it about."""
        results, given = os.pipe()
        try:
            process = self._start(given)
        finally:
            os.close(given)
        with os.fdopen(results, "rb") as told:
            try:
                stopped = self._listen(process, told)
            finally:
                _end(process)
        return self._result(stopped)

    def _start(self, results: int) -> subprocess.Popen[bytes]:
        # The folder holds no modules: -I keeps the working directory out of the import path.
        command = [*_isolation(), self.sandbox.python, "-I", "-B", str(_CHILD)]
        home = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": self.folder, "TMPDIR": self.folder}
        process = subprocess.Popen(
            command, cwd=self.folder, env=home, pass_fds=(results,), start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        limits = {k: v for k, v in vars(self.sandbox).items() if k not in ("python", "seconds")}
        orders = limits | {
            "program": self.program, "tests": self.tests, "stamp": self.stamp,
            "results": results, "drop": self.drop, "watched": self.watches,
        }  # fmt: skip
        if process.stdin is not None:
            # A child that died at once is found out later, by what it has not told.
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(json.dumps(orders).encode())
        return process

    def _listen(self, process: subprocess.Popen[bytes], told: BinaryIO) -> str:
        """Reads until the program ends; why it must not go on, "" if it ended by itself."""
        with selectors.DefaultSelector() as waiting:
            waiting.register(told, selectors.EVENT_READ, self.told)
            if process.stdout is not None:
                waiting.register(process.stdout, selectors.EVENT_READ, self.printed)
            while waiting.get_map():
                left = self.began + self.sandbox.seconds - time.monotonic()
                if left <= 0:
                    return f"it ran longer than {self.sandbox.seconds:g} seconds"
                for key, _ in waiting.select(min(left, _PAUSE)):
                    chunk = os.read(key.fd, 1 << 14)
                    key.data.extend(chunk)
                    if not chunk:
                        waiting.unregister(key.fileobj)
                if max(len(self.printed), len(self.told) // 64) > self.sandbox.output:
                    return f"it printed more than {self.sandbox.output} bytes"
                if self.watches and _tasks_below(process.pid) > self.sandbox.processes + 2:
                    return f"it started more than {self.sandbox.processes} processes"
                if process.poll() is not None and not waiting.select(0):
                    # What it has started still holds the pipes; it ends with the program.
                    break
        return ""

    def _result(self, stopped: str) -> Ran:
        passed, errors, said = list[int](), list[str](), dict[str, Any]()
        for fact in self._facts():
            said |= fact
            if "broken" in fact:
                errors.append(f"the program failed: {fact['broken']}")
            elif "error" in fact:
                errors.append(f"test {fact['test']} failed: {fact['error']}")
            elif "test" in fact:
                passed.append(int(fact["test"]))
        if not stopped and not said.keys() & {"done", "broken"}:
            is_started = "started" in said
            stopped = self._ending(said.get("ended")) if is_started else "it could not be started"
        return Ran(
            tuple(passed),
            len(self.tests),
            stopped,
            tuple(errors),
            self.printed[: self.sandbox.output].decode(errors="replace"),
            time.monotonic() - self.began,
        )

    def _ending(self, code: int | None) -> str:
        reasons = {
            -signal.SIGXCPU: f"it computed longer than {self.sandbox.cpu_seconds} seconds",
            -signal.SIGKILL: f"it computed longer than {self.sandbox.cpu_seconds} seconds, or the "
            "system ran out of memory",
            -signal.SIGXFSZ: f"it wrote a file of more than {self.sandbox.file_size} bytes",
            None: "it ended without a trace",
        }
        return reasons.get(code, f"it ended before its last test (exit status {code})")

    def _facts(self) -> list[dict[str, Any]]:
        facts = []
        for line in self.told.split(b"\n"):
            try:
                fact = json.loads(line)
            except ValueError:
                continue
            # Only the child knows the stamp before the program runs.
            if isinstance(fact, dict) and fact.get("stamp") == self.stamp:
                facts.append(fact)
        return facts


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a program with everything in its group and, if it has one, in its namespace."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _tasks_below(process: int) -> int:
    """Processes that descend from `process`, as far as their parents still live."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(name))
    found, waiting = 0, [process]
    while waiting:
        found += 1
        waiting += parents.get(waiting.pop(), [])
    return found


@cache
def _isolation() -> tuple[str, ...]:
    """The command that gives a program namespaces of its own; empty where there are none."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    user = () if os.getuid() == 0 else ("--user", "--map-root-user")
    # Containers often forbid a /proc of one's own.
    for command in ((unshare, *user, *_NAMESPACES, _OWN_PROC), (unshare, *user, *_NAMESPACES)):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run([*command, "true"], capture_output=True, timeout=10, check=True)
            return command
    return ()


@cache
def _may_drop(python: str) -> bool:
    """Whether `nobody` can read the interpreter, its library and the sandbox's own file."""
    places = [os.path.realpath(python), sys.base_prefix, sys.prefix, str(_CHILD)]
    return all(
        os.stat(part).st_mode & 0o001 or not part.is_dir()
        for place in places
        for part in (Path(place), *Path(place).parents)
    )
