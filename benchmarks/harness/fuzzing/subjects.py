"""What is fuzzed: schemas, regular expressions and grammars, each with an independent judge."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Literal

import jsonschema

from guided.errors import GuidedError
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.lark import lark
from guided.grammars.regex import regex

from .. import data, oracle

PATTERNS = data.ROOT / "benchmarks" / "data" / "patterns.json"
Kind = Literal["schema", "regex", "grammar"]


@dataclass(frozen=True)
class Subject:
    """One constraint: its source text, its compiled grammar, and who judges its texts."""

    kind: Kind
    name: str
    source: str
    grammar: Grammar
    fault: Callable[[str], str | None]


class SlowError(Exception):
    """Compiling took longer than its limit."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises SlowError in the block after so many seconds."""

    late = SlowError(f"more than {seconds:g} s")

    def ring(number: int, frame: FrameType | None) -> None:
        raise late

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except SystemError as error:
        # What C code makes of an exception that it does not expect.
        first: BaseException = error
        while first.__cause__ is not None:
            first = first.__cause__
        if first is late:
            raise late from None
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _can_judge(schema: str) -> bool:
    """Whether jsonschema can judge: the schema is valid there and Python reads its patterns."""
    try:
        judge = oracle.validator(schema)
        judge.check_schema(json.loads(schema))
        oracle.compile_patterns(judge.schema)
    except (jsonschema.SchemaError, re.error, ValueError, RecursionError):
        return False
    return True


def _schema_fault(schema: str, text: str) -> str | None:
    return oracle.schema_fault(oracle.validator(schema), text)


def schemas(count: int, seed: int, skipped: Counter[str], limit: float = 10.0) -> list[Subject]:
    """`count` random schemas that compile; counts in `skipped` why others were left out."""
    found: list[Subject] = []
    for case in data.sample(data.load(data.maskbench_path(None)), None, seed):
        if len(found) == count:
            break
        if not _can_judge(case.schema):
            skipped["jsonschema cannot judge"] += 1
            continue
        try:
            with time_limit(limit):
                grammar = json_schema(case.schema)
        except GuidedError as error:
            skipped[f"refused: {type(error).__name__}"] += 1
            continue
        except SlowError:
            skipped[f"slow: {case.name}"] += 1
            continue
        fault = partial(_schema_fault, case.schema)
        found.append(Subject("schema", case.name, case.schema, grammar, fault))
    return found


def of_regex(pattern: str) -> Subject:
    """A regular expression, judged by re."""
    fault = partial(oracle.regex_fault, pattern)
    return Subject("regex", f"regex {pattern}", pattern, regex(pattern), fault)


def of_grammar(name: str, text: str) -> Subject:
    """A Lark grammar, judged by lark."""
    return Subject("grammar", name, text, lark(text), partial(oracle.grammar_fault, text))


def patterns() -> list[Subject]:
    """Our regular expressions and Lark grammars."""
    content = json.loads(PATTERNS.read_text(encoding="utf-8"))
    found = [of_regex(pattern) for pattern in content["regexes"]]
    return found + [of_grammar(name, text) for name, text in content["grammars"].items()]


def named(subjects: Sequence[Subject], name: str | None) -> list[Subject]:
    """The subjects of that name; all where no name is given."""
    return [s for s in subjects if name is None or s.name == name]
