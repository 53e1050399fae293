"""What runs inside of the sandbox: limits itself, runs a program and its tests, tells the results.

Started as a program of its own; it reads its orders from the standard input and imports nothing of
this package.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from collections.abc import Callable
from typing import Any

NOBODY = 65534


def limit(orders: dict[str, Any]) -> None:
    """Puts hard limits on this process and all that it starts."""
    if orders["drop"]:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    bounds = {
        resource.RLIMIT_CPU: orders["cpu_seconds"],
        resource.RLIMIT_AS: orders["memory"],
        resource.RLIMIT_FSIZE: orders["file_size"],
        resource.RLIMIT_NOFILE: orders["open_files"],
        resource.RLIMIT_NPROC: tasks_of(os.getuid()) + orders["processes"] - 1,
        resource.RLIMIT_CORE: 0,
    }
    for kind, bound in bounds.items():
        _, hard = resource.getrlimit(kind)
        most = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        # The signal for too much computing comes at the lower bound and says why; it can be
        # ignored, the kill at the upper one cannot.
        resource.setrlimit(kind, (most, most + (kind == resource.RLIMIT_CPU and most == bound)))


def tasks_of(user: int) -> int:
    """Processes and threads of a user; at least this one."""
    count = 0
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == user:
                    count += len(os.listdir(f"/proc/{name}/task"))
            except OSError:
                continue
    return max(1, count)


def told(error: BaseException) -> str:
    """The last line of a traceback, and where in the program it happened."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == "<program>"
    ]
    where = f" (line {lines[-1]} of the program)" if lines else ""
    return "".join(traceback.format_exception_only(type(error), error)).strip()[-500:] + where


def run(orders: dict[str, Any], tell: Callable[..., None]) -> None:
    """Runs a program and its tests."""
    space: dict[str, Any] = {"__name__": "program", "__builtins__": __builtins__}
    try:
        exec(compile(orders["program"], "<program>", "exec"), space)
    except BaseException as error:
        tell(broken=told(error))
        return
    for number, test in enumerate(orders["tests"]):
        try:
            exec(compile(test, f"<test {number}>", "exec"), space)
        except BaseException as error:
            tell(test=number, error=told(error))
        else:
            tell(test=number)
    tell(done=True)


def main() -> None:
    """Runs the orders; results go line by line to the descriptor that they name."""
    orders = json.loads(sys.stdin.buffer.read())
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)

    def tell(**facts: Any) -> None:
        line = json.dumps({"stamp": orders["stamp"], **facts}) + "\n"
        os.write(orders["results"], line.encode())

    # The first process of a namespace ignores signals, those of its limits too: it only waits.
    child = os.fork()
    if child:
        tell(ended=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os._exit(0)
    limit(orders)
    tell(started=True)
    run(orders, tell)
    sys.stdout.flush()
    # Threads that the program has left do not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()
