"""Reads the field list of a prompt back into a JSON Schema."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
SIMPLE = {name: {"type": name} for name in ("string", "integer", "number", "boolean")}


def split_top(text: str, separator: str = ", ") -> list[str]:
    """`text` split at separators outside parentheses."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0 and text.startswith(separator, i):
            parts.append(text[start:i])
            start = i + len(separator)
    return [*parts, text[start:]]


def type_schema(text: str) -> Schema:
    """The schema of one type, such as `list of strings`."""
    if text in SIMPLE:
        return dict(SIMPLE[text])
    if text.startswith("one of "):
        return {"enum": text.removeprefix("one of ").split("|")}
    if text.startswith("list of "):
        inner = text.removeprefix("list of ")
        return {"type": "array", "items": type_schema(inner.removesuffix("s"))}
    if text.startswith("object("):
        return object_schema(text.removeprefix("object(").removesuffix(")"))
    raise ValueError(f"unknown type {text!r}")


def object_schema(fields: str) -> Schema:
    """The schema of a whole field list; all keys are required, optional ones may be null."""
    properties: dict[str, Schema] = {}
    for item in split_top(fields):
        name, _, rest = item.partition(" (")
        kind, *flags = split_top(rest.removesuffix(")"))
        schema = type_schema(kind)
        properties[name] = {"anyOf": [schema, {"type": "null"}]} if flags else schema
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
