"""The schema written into the prompt, where the user asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from guided.errors import InputError
from guided.model import Message, Prompt

JsonSchema = Any
#: "fields", "json_schema", a template with {prompt}, {fields} and {schema}, or a function of the
#: prompt's text and the JSON Schema that returns the new text.
Describe = str | Callable[[str, JsonSchema], str]

_PLURAL = {"string": "strings", "integer": "integers", "number": "numbers", "boolean": "booleans"}


def describe_prompt(prompt: Prompt, describe: Describe, schema: JsonSchema) -> Prompt:
    """The prompt with the schema written into it; of chat messages, into the last user message.

    Raises:
        InputError: an unknown kind of description, chat messages without a user's.
    """
    if isinstance(prompt, str):
        return _write(prompt, describe, schema, chat=False)
    for at in range(len(prompt) - 1, -1, -1):
        if prompt[at].get("role") == "user":
            return [*prompt[:at], _described(prompt[at], describe, schema), *prompt[at + 1 :]]
    raise InputError("describe= needs a message with the role 'user'")


def _described(message: Message, describe: Describe, schema: JsonSchema) -> Message:
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": _write(content, describe, schema, chat=True)}
    if not isinstance(content, Sequence):
        raise InputError("describe= needs a user message with text content")
    text = _write("", describe, schema, chat=True).strip()
    return {**message, "content": [*content, {"type": "text", "text": text}]}


def _write(text: str, describe: Describe, schema: JsonSchema, chat: bool) -> str:
    if callable(describe):
        return describe(text, schema)
    if describe == "fields":
        return text + (_fields_in_words(schema) if chat else _fields_line(schema))
    if describe == "json_schema":
        shown = json.dumps(schema, ensure_ascii=False)
        if chat:
            return f"{text}\n\nAnswer only with JSON that follows this JSON Schema:\n{shown}"
        return f"{text}\nJSON Schema: {shown}\nJSON: "
    if "{" not in describe:
        raise InputError(
            f"describe={describe!r} is unknown: give 'fields', 'json_schema', a template with "
            "{prompt}, {fields} or {schema}, or a function"
        )
    written = describe
    for name, value in (
        ("{fields}", describe_fields(schema)),
        ("{schema}", json.dumps(schema, ensure_ascii=False)),
        ("{prompt}", text),
    ):
        written = written.replace(name, value)
    return written


def _fields_line(schema: JsonSchema) -> str:
    name = "Fields" if _is_object(schema) else "Value"
    return f"\n{name}: {describe_fields(schema)}\nJSON: "


def _fields_in_words(schema: JsonSchema) -> str:
    if _is_object(schema):
        return f"\n\nAnswer only with a JSON object with these fields: {describe_fields(schema)}"
    return f"\n\nAnswer only with one JSON value: {describe_fields(schema)}"


def _is_object(schema: JsonSchema) -> bool:
    resolved = _resolved(schema, schema)
    return isinstance(resolved, Mapping) and "properties" in resolved


def describe_fields(schema: JsonSchema) -> str:
    """The fields of an object schema in one line; of any other schema, its type in words."""
    resolved = _resolved(schema, schema)
    if isinstance(resolved, Mapping) and "properties" in resolved:
        return _members(resolved, schema, 0)
    return _type(schema, schema, 0)


def _members(schema: Mapping[str, Any], root: JsonSchema, depth: int) -> str:
    required = schema.get("required", ())
    items = []
    for name, child in schema["properties"].items():
        kind, nullable = _without_null(child, root, depth)
        optional = ", optional" if nullable or name not in required else ""
        items.append(f"{name} ({kind}{optional})")
    return ", ".join(items)


def _without_null(schema: JsonSchema, root: JsonSchema, depth: int) -> tuple[str, bool]:
    """The type in words, null left out, and whether null is allowed."""
    if isinstance(schema, Mapping):
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            kept = [option for option in options if option != {"type": "null"}]
            words = list(dict.fromkeys(_type(option, root, depth) for option in kept))
            return " or ".join(words), len(kept) < len(options)
        kind = schema.get("type")
        if isinstance(kind, list) and "null" in kind and len(kind) > 1:
            rest = {**schema, "type": [name for name in kind if name != "null"]}
            return _type(rest, root, depth), True
    return _type(schema, root, depth), False


def _type(schema: JsonSchema, root: JsonSchema, depth: int) -> str:
    schema = _resolved(schema, root)
    # A recursive schema is described down to a few levels.
    if not isinstance(schema, Mapping) or depth > 4:
        return "value" if depth <= 4 else "object"
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return "one of " + "|".join(v if isinstance(v, str) else json.dumps(v) for v in values)
    if "anyOf" in schema or "oneOf" in schema:
        words, nullable = _without_null(schema, root, depth + 1)
        return f"{words} or null" if nullable else words
    if isinstance(schema.get("allOf"), list) and len(schema["allOf"]) == 1:
        return _type(schema["allOf"][0], root, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(_type({**schema, "type": name}, root, depth) for name in kind)
    if kind == "array":
        return _list(schema, root, depth)
    if "properties" in schema:
        return f"object({_members(schema, root, depth + 1)})"
    return str(kind) if kind is not None else "value"


def _list(schema: Mapping[str, Any], root: JsonSchema, depth: int) -> str:
    items = schema.get("items")
    if items is None or isinstance(items, bool):
        return "list"
    word = _type(items, root, depth + 1)
    if word.startswith("list"):
        word = "lists" + word[len("list") :]
    return f"list of {_PLURAL.get(word, word)}"


def _resolved(schema: JsonSchema, root: JsonSchema) -> JsonSchema:
    """The schema behind local references."""
    for _ in range(32):
        if not isinstance(schema, Mapping) or "$ref" not in schema:
            break
        target: Any = root
        for part in str(schema["$ref"]).lstrip("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            target = target.get(name, {}) if isinstance(target, Mapping) else {}
        schema = target
    return schema
