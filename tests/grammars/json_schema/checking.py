"""Compiling a schema and holding its grammar against documents."""

from __future__ import annotations

import json
from typing import Any

from guided.grammars.json_schema import json_schema


def check(schema: Any, valid: list[Any], invalid: list[Any], **options: Any) -> None:
    """Assert that the grammar of `schema` accepts the `valid` documents and no `invalid` one.

    Documents given as bytes are JSON texts as they stand.
    """
    grammar = json_schema(schema, **options)
    for document in valid:
        assert grammar.accepts(text(document)), f"{schema} rejects {document!r}"
    for document in invalid:
        assert not grammar.accepts(text(document)), f"{schema} accepts {document!r}"


def text(document: Any) -> bytes:
    """The JSON text of a document, in the form that `json.dumps` writes."""
    if isinstance(document, bytes):
        return document
    return json.dumps(document, ensure_ascii=False).encode()
