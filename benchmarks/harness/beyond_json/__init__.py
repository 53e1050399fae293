"""Regular expressions and context-free grammars through the engines that read such."""

from __future__ import annotations

import json
from typing import Protocol

from ..engines import Compiled, Engine, RefusedError
from ..tekken import TokenTable

#: Names of the engines are these with PREFIX; the packages that they come in.
PREFIX = "grammar:"
PACKAGES = {
    "guided": "guided",
    "llguidance": "llguidance",
    "xgrammar": "xgrammar",
    "kbnf": "kbnf",
    "transformers-cfg": "transformers-cfg",
}
NOTES = {
    "llguidance": "GBNF through its own gbnf_to_lark",
    "kbnf": "GBNF rewritten as KBNF",
}


class TextReader(Protocol):
    """An engine's way to compile a regular expression or a GBNF grammar."""

    def regex(self, pattern: str) -> Compiled: ...

    def grammar(self, text: str) -> Compiled: ...


class TextEngine:
    """Takes jobs of two kinds, `{"kind": "regex" or "grammar", "text": …}`, as JSON text."""

    def __init__(self, reader: TextReader) -> None:
        self._reader = reader

    def compile(self, schema: str) -> Compiled:
        job = json.loads(schema)
        if "kind" not in job:  # the worker's warm-up, a JSON Schema
            self._reader.regex(r"[a-c]+\d?").start().mask()
            job = {"kind": "grammar", "text": 'root ::= "(" root ")" | [a-z]+ ("," [0-9])*\n'}
        try:
            read = self._reader.regex if job["kind"] == "regex" else self._reader.grammar
            return read(job["text"])
        except RefusedError:
            raise
        except Exception as error:  # each raises what its parser happens to raise
            raise RefusedError(type(error).__name__, str(error)) from error


def build(name: str, table: TokenTable) -> Engine:
    """The engine `name`. Raises ImportError where its package is missing."""
    from . import readers

    return TextEngine(readers.READERS[name](table))
