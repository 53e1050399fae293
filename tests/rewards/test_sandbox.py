"""Model-written programs: what they score, and that they cannot do harm."""

import os
import time
from pathlib import Path

import pytest

from guided.errors import InputError
from guided.rewards import Continuation
from guided.rewards.code_tests import Tests, last_code_block
from guided.rewards.sandbox import Sandbox, _isolation
from guided.search import BestOfN
from guided.testing import table_model

TESTS = ["assert add(1, 2) == 3", "assert add(0, 0) == 0", "assert add(-1, 1) == 0"]
QUICK = Sandbox(seconds=4, cpu_seconds=3, memory=1 << 28)


def score(*programs: str, sandbox: Sandbox = QUICK) -> tuple[list[float], list[str]]:
    reward = Tests(TESTS, sandbox=sandbox, workers=len(programs))
    scores = reward.score(["Add."] * len(programs), [Continuation(text) for text in programs])
    return scores, [str(report) for report in reward.reports]


def test_the_score_is_the_share_of_tests_that_pass() -> None:
    scores, reports = score(
        "def add(a, b): return a + b",
        "Here it is:\n```python\ndef add(a, b):\n    return abs(a) + b\n```\nDone.",
        "def add(a, b): return a +",
        "import sys; sys.exit(0)",
    )
    assert scores == [1.0, pytest.approx(2 / 3), 0.0, 0.0]
    assert "3 of 3 tests passed" in reports[0]
    assert "test 2 failed: AssertionError" in reports[1]
    assert "the program failed" in reports[2]
    assert "SyntaxError" in reports[2]
    assert "SystemExit: 0 (line 1 of the program)" in reports[3]


def test_programs_that_do_not_end_are_contained_and_reported() -> None:
    sandbox = Sandbox(seconds=2, memory=1 << 28, output=5000)
    began = time.monotonic()
    scores, reports = score(
        "while True: pass",
        "import time; time.sleep(1000)",
        "while True: print('x' * 100)",
        "import os\nwhile True: os.fork()",
        "import os; os._exit(0)",
        sandbox=sandbox,
    )
    assert time.monotonic() - began < 25
    assert scores == [0.0] * 5
    assert "stopped: it ran longer than 2 seconds" in reports[0]
    assert "stopped: it ran longer than 2 seconds" in reports[1]
    assert "stopped: it printed more than 5000 bytes" in reports[2]
    assert len(reports[2]) < 1000
    assert "processes" in reports[3] or "BlockingIOError" in reports[3]
    assert "stopped: it ended before its last test" in reports[4]


def test_memory_computing_and_files_are_limited() -> None:
    sandbox = Sandbox(seconds=60, cpu_seconds=1, memory=1 << 27, file_size=1000)
    scores, reports = score(
        "x = bytearray(1 << 28)",
        "while True: pass",
        "with open('f', 'w') as f: f.write('x' * 2000)",
        "kept = [open('/dev/null') for _ in range(40)]",
        sandbox=sandbox,
    )
    assert scores == [0.0] * 4
    assert "MemoryError" in reports[0]
    assert "it computed longer than 1 seconds" in reports[1]
    assert "File too large" in reports[2] or "file of more than" in reports[2]
    assert "Too many open files" in reports[3]


def test_a_program_sees_no_environment_no_input_and_no_files_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET", "hidden")
    program = (
        "import os\n"
        "print('SECRET' in os.environ, os.listdir('.'), os.getcwd())\n"
        "open('left', 'w').write('x')\n"
        "try:\n    input()\nexcept EOFError:\n    print('no input')\n"
    )
    ran = QUICK.run(program, ["pass"])
    assert ran.fraction == 1.0
    first, second = ran.output.splitlines()
    assert first.startswith("False [] ")
    assert second == "no input"
    assert not Path(first.removeprefix("False [] ")).exists()


def test_the_results_cannot_be_written_by_printing_them() -> None:
    forged = (
        "import os, json\n"
        "for fd in range(3, 20):\n"
        '    try: os.write(fd, b\'{"test": 0}\\n{"done": true}\\n\')\n'
        "    except OSError: pass\n"
        "print('{\"test\": 0}')\n"
        "os._exit(0)\n"
    )
    assert QUICK.run(forged, TESTS).fraction == 0.0


@pytest.mark.skipif(not _isolation(), reason="no namespaces on this machine")
def test_what_a_program_leaves_behind_ends_with_it_and_there_is_no_network(tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    tmp_path.chmod(0o777)
    program = (
        "import os, socket, time\n"
        "try:\n    socket.create_connection(('127.0.0.1', 9), timeout=1)\n"
        "except OSError as error: print(error.errno)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        f"    while True: open({str(mark)!r}, 'w').write(str(time.time())); time.sleep(0.05)\n"
        "time.sleep(0.4)\n"
    )
    sandbox = Sandbox(seconds=5, processes=4)
    assert sandbox.contains["network"]
    ran = sandbox.run(program, ["pass"])
    assert ran.fraction == 1.0
    assert ran.output.strip() in ("101", "99")  # unreachable
    before = mark.read_text()
    time.sleep(0.3)
    assert mark.read_text() == before


@pytest.mark.skipif(not Sandbox().contains["other processes unseen"], reason="/proc is shared")
def test_a_program_sees_no_process_but_its_own() -> None:
    program = "import os\nprint(*sorted(filter(str.isdigit, os.listdir('/proc'))))"
    assert len(QUICK.run(program, ["pass"]).output.split()) == 2  # it, and what waits for it


@pytest.mark.skipif(
    not Sandbox().contains["processes limited by the kernel"], reason="root has no limit"
)
def test_as_many_processes_and_threads_as_allowed_can_be_started() -> None:
    program = (
        "import threading, time\n"
        "for _ in range(2): threading.Thread(target=time.sleep, args=(0.2,)).start()\n"
    )
    assert Sandbox(seconds=5, processes=3).run(program, ["pass"]).fraction == 1.0
    for processes in (1, 2):
        ran = Sandbox(seconds=5, processes=processes).run(program, ["pass"])
        assert "can't start new thread" in str(ran)


def test_a_copy_of_a_program_passes_no_test_again() -> None:
    ran = Sandbox(seconds=5, processes=4).run("import os\nos.fork()", ["pass", "assert False"])
    assert ran.passed == (0,)
    assert ran.fraction == 0.5


def test_programs_run_side_by_side() -> None:
    program = "import time; time.sleep(1.5)\ndef add(a, b): return a + b"
    began = time.monotonic()
    scores, _ = score(*[program] * 4, sandbox=Sandbox(seconds=20))
    assert scores == [1.0] * 4
    assert time.monotonic() - began < 6 * 1.5


def test_the_last_fenced_block_is_the_program() -> None:
    assert last_code_block("", "```\na\n```\n```python\nb\n```") == "b\n"
    assert last_code_block("", "x\n```py\nunfinished\n") == "unfinished\n"
    assert last_code_block("", "no fence") == "no fence"


def test_tests_may_depend_on_the_prompt() -> None:
    reward = Tests(lambda prompt: [f"assert x == {prompt}"], sandbox=QUICK, workers=2)
    assert reward.score(["1", "2"], [Continuation("x = 2")] * 2) == [0.0, 1.0]


def test_a_search_goes_on_past_a_program_that_loops() -> None:
    model = table_model(4, seed=3, horizon=7)
    reward = Tests(
        ["assert ok"],
        extract=lambda prompt, text: "while True: pass" if len(text) > 3 else "ok = True",
        sandbox=Sandbox(seconds=1.5),
        workers=4,
    )
    found = BestOfN(3).run(model, "ab", reward, temperature=1.0, heal=False, seed=2)
    assert found.stopped is None
    assert found.score in (0.0, 1.0)


def test_what_cannot_work_is_refused() -> None:
    for tests in ([], "assert x", ["assert ("]):
        with pytest.raises(InputError, match="test"):
            Tests(tests)
    with pytest.raises(InputError, match="workers"):
        Tests(TESTS, workers=0)
    with pytest.raises(InputError, match="memory must be positive"):
        Sandbox(memory=0)


def test_no_process_is_left() -> None:
    left = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
            command = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == str(os.getpid()) and b"sandbox_child" in command:
            left.append(command)
    assert left == []
