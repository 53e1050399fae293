"""The engine under threads, forks and many grammars: the right masks, and bounded memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from guided.grammars.vocabulary import Vocabulary
from guided.testing import allowed_tokens
from tests.grammars.trust_subjects import FRONT_ENDS, vocabulary, walk


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_masks_are_those_of_trying_every_token_byte_by_byte(name: str) -> None:
    grammar, tokens = FRONT_ENDS[name](), vocabulary()
    stop = tokens.size - 1
    for seed in range(3):
        rng, state = random.Random(seed), grammar.start(tokens)
        for _ in range(12):
            allowed = allowed_tokens(state.mask(), tokens.size)
            for token in range(stop):
                after = state
                for byte in tokens.tokens[token] or b"":
                    after = after and after.advance(byte)  # type: ignore[assignment]
                assert (token in allowed) == (after is not None), (name, token)
            assert (stop in allowed) == state.is_accepting
            # There is a way to the end from everywhere.
            end = state
            for token in state.completion():
                end = end.advance(token)  # type: ignore[assignment]
            assert end.is_accepting
            token = rng.choice(sorted(allowed))
            if token == stop:
                break
            state = state.advance(token)  # type: ignore[assignment]


@pytest.mark.parametrize("name", ["schema in any order", "lark", "both"])
def test_threads_that_share_a_grammar_get_the_masks_of_one_alone(name: str) -> None:
    tokens = vocabulary()
    alone = [walk(FRONT_ENDS[name](), tokens, seed) for seed in range(12)]
    shared, found = FRONT_ENDS[name](), {}
    fresh = Vocabulary.from_tokens(tokens.tokens, tokens.stop_ids)

    def work(first: int) -> None:
        for seed in range(first, 12, 6):
            found[seed] = walk(shared, fresh, seed)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[seed] for seed in range(12)] == alone


FORKS = """
import os, signal, threading, time, warnings
warnings.simplefilter("ignore")
from tests.grammars.trust_subjects import FRONT_ENDS, vocabulary, walk
grammar, tokens = FRONT_ENDS["lark"](), vocabulary()
wanted, stopped = walk(grammar, tokens, 1), threading.Event()
def work(seed):
    while not stopped.is_set():
        seed += 3
        walk(grammar, tokens, seed)
        FRONT_ENDS["choices"]().start(tokens).mask()
threads = [threading.Thread(target=work, args=(seed,)) for seed in (2, 3, 4)]
for thread in threads:
    thread.start()
codes = []
for number in range(8):
    time.sleep(0.01)
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a child that waits for ever is ended by this
        same = walk(grammar, tokens, 1) == wanted and walk(grammar, tokens, 10**6 + number)
        os._exit(0 if same else 3)
    codes.append(os.waitpid(child, 0)[1])
stopped.set()
for thread in threads:
    thread.join()
assert walk(grammar, tokens, 1) == wanted
assert codes == [0] * 8, codes
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_is_forked_while_threads_work_gets_right_masks() -> None:
    done = run_python(FORKS)
    assert done.returncode == 0, done.stderr


MANY = """
import sys
from guided.grammars.json_schema import json_schema
from tests.grammars.trust_subjects import vocabulary
tokens = vocabulary()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
def work(numbers):
    for n in numbers:
        schema = {"type": "object", "properties": {
            f"key{n}": {"type": "string", "maxLength": n}, "n": {"type": "integer", "minimum": n},
            "p": {"type": "string", "pattern": f"^[a-c]{{1,9}}x{n}$"},
        }, "required": [f"key{n}", "n", "p"]}
        state = json_schema(schema).start(tokens)
        for token in state.completion()[:8]:
            state.mask()
            state = state.advance(token)
work(range(60))
before = resident()
work(range(60, 140))
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc")
def test_memory_hardly_grows_with_the_number_of_schemas() -> None:
    done = run_python(MANY)
    assert done.returncode == 0, done.stderr
    # What one parser with its masks takes is some hundred kilobytes; none must be kept.
    assert int(done.stdout) < 80 * 50_000


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=300,
        env={**os.environ, "PYTHONPATH": str(root)}, check=False,
    )  # fmt: skip
