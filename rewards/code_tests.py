"""Model-written programs, scored by the share of tests that they pass."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from guided.errors import InputError
from guided.rewards.ensembles import Combinable
from guided.rewards.protocol import Continuation
from guided.rewards.sandbox import Ran, Sandbox

if TYPE_CHECKING:
    from guided.model import Prompt

_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)


def last_code_block(prompt: Prompt, text: str) -> str:
    """The last fenced block of Markdown in a text; the whole text if it has none."""
    blocks: list[str] = _FENCE.findall(text)
    return blocks[-1] if blocks else text


class Tests(Combinable):
    """The share of tests that the Python program in a text passes, from 0 to 1.

    The program runs in a `Sandbox`, never in this process; a program that has to be stopped
    scores 0. Passing means: the statement runs after the program without an exception.

    Args:
        tests: statements like `"assert add(1, 2) == 3"`, or a function that gives those of a
            prompt.
        extract: makes the program of prompt and text; the last fenced code block if not given.
        sandbox: the limits.
        workers: programs that run at a time; as many as there are processors if not given.

    Attributes:
        reports: how each program of the last call ran; print one to read it.

    Raises:
        InputError: no tests, or a test that is not Python.
    """

    __test__ = False  # pytest would take it for a class of tests

    def __init__(
        self,
        tests: Sequence[str] | Callable[[Prompt], Sequence[str]],
        *,
        extract: Callable[[Prompt, str], str] = last_code_block,
        sandbox: Sandbox | None = None,
        workers: int | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise InputError(f"workers must be at least 1, not {workers}")
        self._tests = tests if callable(tests) else _checked(tests)
        self._extract = extract
        self.sandbox = sandbox or Sandbox()
        self.workers = workers or os.cpu_count() or 1
        self.reports: list[Ran] = []

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[Continuation]
    ) -> list[float]:
        """The share of passed tests for every continuation.

        Raises:
            InputError: a function of tests gave none for a prompt, or what is not Python.
        """
        tests = [
            _checked(self._tests(prompt)) if callable(self._tests) else self._tests
            for prompt in prompts
        ]
        programs = [
            self._extract(prompt, continuation.text)
            for prompt, continuation in zip(prompts, continuations, strict=True)
        ]
        with ThreadPoolExecutor(self.workers) as pool:
            self.reports = list(pool.map(self.sandbox.run, programs, tests))
        return [ran.fraction for ran in self.reports]


def _checked(tests: Sequence[str]) -> list[str]:
    if isinstance(tests, str) or not tests:
        raise InputError("tests must be a non-empty list of Python statements")
    for test in tests:
        try:
            compile(test, "<test>", "exec")
        except (SyntaxError, ValueError) as error:
            raise InputError(f"a test is not Python: {test!r}: {error}") from error
    return list(tests)
