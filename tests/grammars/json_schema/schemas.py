"""Random small schemas and documents for differential tests."""

from __future__ import annotations

import random
from typing import Any

NAMES = ["a", "b", "ab"]
SCALARS: list[Any] = [None, True, False, 0, 1, 2, 3, -1, 1.5, 0.5, "", "a", "b", "ab", "aab"]
ARRAYS: list[Any] = [
    [],
    [1],
    [1, 1],
    [1, 2],
    ["a"],
    ["a", 1],
    [1, "a"],
    ["a", "a", "b"],
    [[1]],
    [{}],
]
OBJECTS: list[Any] = [
    {},
    {"a": 1},
    {"a": "a"},
    {"b": 2},
    {"a": 1, "b": 1},
    {"b": "a", "a": 3},
    {"ab": 1},
    {"a": 1, "ab": "b"},
    {"a": {"a": 1}},
    {"a": [1, 2], "b": None},
    {"c": 1, "d": 2},
    {"a": 1, "b": 2, "ab": 3},
]
DOCUMENTS = SCALARS + ARRAYS + OBJECTS
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]
PATTERNS = ["a", "^a", "b$", "^a*$", "^.$"]


def schema(rng: random.Random, depth: int) -> Any:
    """A schema of one to three keywords; nested ones at most `depth` deep."""
    if rng.random() < 0.08:
        return rng.random() < 0.7
    keywords = [_type, _enum, _number, _string, _array, _object]
    if depth > 0:
        keywords += [_combine, _nested_array, _nested_object, _combine, _nested_object]
    found: dict[str, Any] = {}
    for make in rng.sample(keywords, rng.randint(1, 3)):
        found.update(make(rng, depth))
    return found


def _type(rng: random.Random, depth: int) -> dict[str, Any]:
    if rng.random() < 0.3:
        return {"type": rng.sample(TYPES, 2)}
    return {"type": rng.choice(TYPES)}


def _enum(rng: random.Random, depth: int) -> dict[str, Any]:
    if rng.random() < 0.4:
        return {"const": rng.choice(DOCUMENTS)}
    return {"enum": rng.sample(DOCUMENTS, rng.randint(1, 5))}


def _number(rng: random.Random, depth: int) -> dict[str, Any]:
    keyword = rng.choice(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])
    if rng.random() < 0.3:
        return {"multipleOf": rng.choice([1, 2, 3, 0.5])}
    return {keyword: rng.choice([0, 1, 1.5, 2, -1])}


def _string(rng: random.Random, depth: int) -> dict[str, Any]:
    kind = rng.choice(["minLength", "maxLength", "pattern"])
    return {kind: rng.choice(PATTERNS) if kind == "pattern" else rng.randint(0, 3)}


def _array(rng: random.Random, depth: int) -> dict[str, Any]:
    kind = rng.choice(["minItems", "maxItems", "uniqueItems"])
    return {kind: True if kind == "uniqueItems" else rng.randint(0, 3)}


def _object(rng: random.Random, depth: int) -> dict[str, Any]:
    kind = rng.choice(
        ["required", "required", "minProperties", "maxProperties", "dependentRequired"]
    )
    if kind == "required":
        return {kind: rng.sample(NAMES, rng.randint(1, 2))}
    if kind == "dependentRequired":
        return {kind: {rng.choice(NAMES): rng.sample(NAMES, 1)}}
    return {kind: rng.randint(0, 2)}


def _combine(rng: random.Random, depth: int) -> dict[str, Any]:
    kind = rng.choice(["allOf", "anyOf", "oneOf", "not", "if"])
    if kind == "not":
        return {"not": schema(rng, depth - 1)}
    if kind == "if":
        parts = {"if": schema(rng, depth - 1), "then": schema(rng, depth - 1)}
        return parts | ({"else": schema(rng, depth - 1)} if rng.random() < 0.6 else {})
    return {kind: [schema(rng, depth - 1) for _ in range(rng.randint(1, 3))]}


def _nested_array(rng: random.Random, depth: int) -> dict[str, Any]:
    kind = rng.choice(["items", "prefixItems", "contains"])
    if kind == "prefixItems":
        found: dict[str, Any] = {kind: [schema(rng, depth - 1) for _ in range(rng.randint(1, 2))]}
        return found | ({"items": schema(rng, depth - 1)} if rng.random() < 0.5 else {})
    if kind == "contains":
        found = {kind: schema(rng, depth - 1)}
        return found | ({"maxContains": rng.randint(0, 2)} if rng.random() < 0.4 else {})
    return {kind: schema(rng, depth - 1)}


def _nested_object(rng: random.Random, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if rng.random() < 0.7:
        names = rng.sample(NAMES, rng.randint(1, 2))
        found["properties"] = {name: schema(rng, depth - 1) for name in names}
    if rng.random() < 0.3:
        found["patternProperties"] = {rng.choice(PATTERNS): schema(rng, depth - 1)}
    if rng.random() < 0.3:
        found["additionalProperties"] = schema(rng, depth - 1)
    if rng.random() < 0.15:
        found["propertyNames"] = schema(rng, 0)
    if rng.random() < 0.15:
        found["dependentSchemas"] = {rng.choice(NAMES): schema(rng, depth - 1)}
    if rng.random() < 0.15:
        found["unevaluatedProperties"] = False
    return found
