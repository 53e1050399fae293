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
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

NOBODY = 65534
#: More than Linux can have.
MOST_TASKS = 1 << 22


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
        resource.RLIMIT_CORE: 0,
    }
    if not orders["watched"]:  # root, whom the kernel does not limit: the parent counts
        bounds[resource.RLIMIT_NPROC] = tasks() + orders["processes"] - 1
    for kind, bound in bounds.items():
        _, hard = resource.getrlimit(kind)
        most = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        # The signal for too much computing comes at the lower bound and says why; it can be
        # ignored, the kill at the upper one cannot.
        resource.setrlimit(kind, (most, most + (kind == resource.RLIMIT_CPU and most == bound)))


def tasks() -> int:
    """Processes and threads that the kernel counts against this user's limit.

    Those of the user, or of the user's namespace only; under which limit more can be started tells.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)

    def may_start(bound: int) -> bool:
        resource.setrlimit(resource.RLIMIT_NPROC, (bound, hard))
        try:
            child = os.fork()
        except BlockingIOError:
            return False
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        return True

    highest = MOST_TASKS if hard == resource.RLIM_INFINITY else hard
    bound = 1
    while bound < highest and not may_start(bound):
        bound *= 2
    return bisect_left(range(1, min(bound, highest) + 1), True, lo=bound // 2, key=may_start)


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
        # Copies that a program makes of itself have nothing to tell.
        if os.getpid() == teller:
            os.write(orders["results"], line.encode())

    # The first process of a namespace ignores signals, those of its limits too: it only waits.
    teller = os.getpid()
    child = os.fork()
    if child:
        tell(ended=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os._exit(0)
    teller = os.getpid()
    limit(orders)
    tell(started=True)
    run(orders, tell)
    sys.stdout.flush()
    # Threads that the program has left do not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()
