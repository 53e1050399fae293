"""Whether JSON documents can be written under a schema, told without any tokenizer or model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any

from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema

#: Characters that a message shows of a document.
SHOWN = 60


@dataclass(frozen=True)
class Verdict:
    """What the grammar says of a document, and what jsonschema says if it is installed.

    Attributes:
        by_grammar: whether the document, written as by `json.dumps`, is in the grammar.
        reordered: it is so only where the keys may come in any order.
        complaint: the first complaint of jsonschema; empty if it has none; None if not asked.
        begun: the longest beginning of the document that a text of the grammar has.
    """

    by_grammar: bool
    reordered: bool
    complaint: str | None
    begun: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether everybody who was asked accepts the document."""
        return self.by_grammar and not self.complaint

    def __str__(self) -> str:
        if self.by_grammar and self.complaint:
            return f"accepted by the grammar, refused by jsonschema: {self.complaint}"
        if self.by_grammar:
            return "accepted, with its keys in another order" if self.reordered else "accepted"
        place = f"it leaves the grammar after {_tail(self.begun)}"
        if self.complaint is None:
            return f"refused: {place}"
        return f"refused: {self.complaint}" if self.complaint else (
            f"refused by the grammar, though jsonschema finds it valid: {place}"
        )  # fmt: skip


class SchemaCheck:
    """Compiles a schema once and judges documents.

    Raises:
        SchemaError: the schema is invalid, unsupported or unsatisfiable.
    """

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self.grammar: Grammar = json_schema(schema)

    def __call__(self, document: Any) -> Verdict:
        """The verdict on `document`, a parsed JSON value."""
        text = _written(document)
        in_order = self.grammar.accepts(text)
        by_grammar = in_order or self._unordered.accepts(text)
        begun = text if by_grammar else text[: self._unordered.reach(text)]
        return Verdict(
            by_grammar,
            by_grammar and not in_order,
            self._complaint(document),
            begun.decode(errors="ignore"),
        )

    @cached_property
    def _unordered(self) -> Grammar:
        return json_schema(self.schema, property_order="any")

    def _complaint(self, document: Any) -> str | None:
        if find_spec("jsonschema") is None:
            return None
        from jsonschema.exceptions import best_match
        from jsonschema.validators import Draft202012Validator, validator_for

        kind = validator_for(self.schema, Draft202012Validator)
        validator = kind(self.schema, format_checker=kind.FORMAT_CHECKER)
        error = best_match(validator.iter_errors(document))
        return "" if error is None else f"{error.message} (at {error.json_path})"


def _tail(text: str) -> str:
    """The end of a text, for a message."""
    if not text:
        return "its beginning"
    return (text if len(text) <= SHOWN else f"…{text[-SHOWN:]}") + f" ({len(text)} characters)"


def _written(document: Any) -> bytes:
    try:
        return json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair can only be written as an escape
        return json.dumps(document).encode()
