"""Random JSON Schemas that use every keyword, and documents that are likely to satisfy them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Json = Any
NAMES = ("a", "b", "ab", "id", "é")
WORDS = ("", "a", "b", "ab", "aab", "é", 'q"', "x\\y", "2024-02-29", "a@b.org", "0", "long word")
NUMBERS: tuple[Json, ...] = (0, 1, 2, 3, 7, -1, -12, 100, 0.5, 1.5, -0.25, 0.1, 1000000)
#: Without \\d and the like, which Python and ECMAScript read differently beyond ASCII.
PATTERNS = ("a", "^a", "b$", "^a*$", "^.$", "^[a-c]{1,3}$", "^(a|é)+", "[0-9]")
#: Those that jsonschema checks strictly, so that their opposites can be judged too.
FORMATS = ("date", "uuid", "ipv4", "date-time")
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
DEEPEST = 3


class SchemaMaker:
    """Makes one schema; definitions that it refers to stand in `$defs`."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.defined: dict[str, Json] = {}
        #: Whether a reference leads to a part of the document: a definition that refers to itself
        #: for the same value means nothing.
        self.may_refer = True
        self.kinds: dict[str, Callable[[int], dict[str, Json]]] = {
            "integer": self.number,
            "number": self.number,
            "string": self.string,
            "array": self.array,
            "object": self.object,
        }

    def coin(self, share: float) -> bool:
        return self.rng.random() < share

    def root(self) -> dict[str, Json]:
        """A schema at the top of a document."""
        for name in ("d", "e")[: self.rng.choice((0, 0, 1, 2))]:
            self.defined[name] = True
        made = self.schema(0)
        made = made if isinstance(made, dict) else {"not": {"type": "null"}}
        for name in self.defined:
            self.may_refer = False
            self.defined[name] = self.schema(1)
        return {**made, "$defs": self.defined} if self.defined else made

    def schema(self, depth: int) -> Json:
        """A schema, one of `true` and `false` among them now and then."""
        if depth and self.coin(0.06):
            return self.coin(0.8)
        if depth and self.defined and self.may_refer and self.coin(0.12):
            return {"$ref": f"#/$defs/{self.rng.choice(list(self.defined))}"}
        if self.coin(0.15):
            return self.listed()
        found: dict[str, Json] = {}
        kinds = self.rng.sample(TYPES, 1 if self.coin(0.8) else 2)
        found["type"] = kinds[0] if len(kinds) == 1 else kinds
        for kind in kinds:
            if kind in self.kinds:
                found.update(self.kinds[kind](depth))
        if depth < DEEPEST and self.coin(0.25):
            found.update(self.combined(depth))
        if self.coin(0.08):
            del found["type"]
        return found

    def part(self, depth: int) -> Json:
        """A schema for an item or a member."""
        before, self.may_refer = self.may_refer, True
        made = self.schema(depth)
        self.may_refer = before
        return made

    def listed(self) -> dict[str, Json]:
        if self.coin(0.4):
            return {"const": value(self.rng, 2)}
        return {"enum": [value(self.rng, 1) for _ in range(self.rng.randint(1, 5))]}

    def some(self, **made: Callable[[], Json]) -> dict[str, Json]:
        """One to three of the keywords; an underscore before one's name is left out."""
        names = self.rng.sample(list(made), min(len(made), self.rng.randint(0, 3)))
        return {name.lstrip("_"): made[name]() for name in names}

    def number(self, depth: int) -> dict[str, Json]:
        low, high = sorted(self.rng.sample(NUMBERS, 2))
        return self.some(
            minimum=lambda: low,
            maximum=lambda: high,
            exclusiveMinimum=lambda: low,
            exclusiveMaximum=lambda: high,
            multipleOf=lambda: self.rng.choice((1, 2, 3, 0.5, 0.25, 10)),
        )

    def string(self, depth: int) -> dict[str, Json]:
        low, high = sorted((self.rng.randint(0, 4), self.rng.randint(0, 9)))
        if self.coin(0.2):
            return {"format": self.rng.choice(FORMATS)}
        return self.some(
            minLength=lambda: low,
            maxLength=lambda: high,
            pattern=lambda: self.rng.choice(PATTERNS),
        )

    def array(self, depth: int) -> dict[str, Json]:
        low, high = sorted((self.rng.randint(0, 2), self.rng.randint(0, 4)))
        inner = depth + 1
        if inner > DEEPEST:
            return {"maxItems": high}
        return self.some(
            minItems=lambda: low,
            maxItems=lambda: high,
            items=lambda: self.part(inner),
            prefixItems=lambda: [self.part(inner) for _ in range(self.rng.randint(1, 3))],
            contains=lambda: self.part(inner),
            unevaluatedItems=lambda: self.schema(DEEPEST),
        ) | ({"uniqueItems": True} if self.coin(0.05) else {})

    def object(self, depth: int) -> dict[str, Json]:
        inner = depth + 1
        if inner > DEEPEST:
            return {"required": self.names(1)} if self.coin(0.3) else {}
        named = {name: self.part(inner) for name in self.names(3)}
        found = self.some(
            required=lambda: self.names(2),
            additionalProperties=lambda: self.coin(0.3) and self.part(inner),
            patternProperties=lambda: {self.rng.choice(PATTERNS): self.part(inner)},
            propertyNames=lambda: {"pattern": self.rng.choice(PATTERNS)},
            maxProperties=lambda: self.rng.randint(0, 3),
            minProperties=lambda: self.rng.randint(0, 2),
            dependentRequired=lambda: {self.rng.choice(NAMES): self.names(1)},
            dependentSchemas=lambda: {self.rng.choice(NAMES): self.schema(inner)},
            unevaluatedProperties=lambda: self.coin(0.3) and self.schema(inner),
        )
        return {"properties": named, **found} if self.coin(0.85) else found

    def names(self, most: int) -> list[str]:
        return self.rng.sample(NAMES, self.rng.randint(1, most))

    def combined(self, depth: int) -> dict[str, Json]:
        def several() -> list[Json]:
            return [self.schema(depth + 1) for _ in range(self.rng.randint(1, 3))]

        kind = self.rng.choice(("anyOf", "oneOf", "allOf", "not", "if"))
        if kind == "not":
            return {"not": self.schema(depth + 1)}
        if kind != "if":
            return {kind: several()}
        parts = ("if", "then", "else") if self.coin(0.5) else ("if", "then")
        return {part: self.schema(depth + 1) for part in parts}


def made_schema(rng: random.Random) -> dict[str, Json]:
    """A random schema of draft 2020-12."""
    return SchemaMaker(rng).root()


def value(rng: random.Random, depth: int) -> Json:
    """Any small JSON value, at most so deep."""
    kind = rng.choice(TYPES if depth else TYPES[:5])
    if kind == "array":
        return [value(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    if kind == "object":
        return {rng.choice(NAMES): value(rng, depth - 1) for _ in range(rng.randint(0, 3))}
    choices: dict[str, tuple[Json, ...]] = {
        "null": (None,),
        "boolean": (True, False),
        "integer": tuple(n for n in NUMBERS if isinstance(n, int)),
        "number": NUMBERS,
        "string": WORDS,
    }
    return rng.choice(choices[kind])


def document(schema: Json, root: Json, rng: random.Random, depth: int = 0) -> Json:
    """A value that looks at some of the schema's keywords: often valid, often nearly so."""
    if not isinstance(schema, dict) or depth > 5 or rng.random() < 0.04:
        return value(rng, 2)
    if "$ref" in schema:
        return document(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, rng, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema and rng.random() < 0.5:
            return document(rng.choice(schema[keyword]), root, rng, depth + 1)
    kinds = schema.get("type", TYPES)
    kind = kinds if isinstance(kinds, str) else rng.choice(kinds)
    if kind == "array":
        return _array(schema, root, rng, depth)
    if kind == "object":
        return _object(schema, root, rng, depth)
    if kind == "string":
        return rng.choice(WORDS)
    if kind in ("integer", "number"):
        near = [schema[k] for k in ("minimum", "maximum", "multipleOf") if k in schema]
        return rng.choice([*near, *(n + 1 for n in near), *rng.sample(NUMBERS, 3)])
    return rng.choice((True, False)) if kind == "boolean" else None


def _array(schema: Json, root: Json, rng: random.Random, depth: int) -> list[Json]:
    first = schema.get("prefixItems", [])
    some = [schema[k] for k in ("items", "contains") if k in schema] or [True]
    count = rng.randint(schema.get("minItems", 0), max(schema.get("maxItems", 3), 0) or 1)
    items = [*first, *(rng.choice(some) for _ in range(max(0, count - len(first))))][:count]
    return [document(item, root, rng, depth + 1) for item in items]


def _object(schema: Json, root: Json, rng: random.Random, depth: int) -> dict[str, Json]:
    named = schema.get("properties", {})
    names = {*schema.get("required", ()), *(name for name in named if rng.random() < 0.6)}
    if rng.random() < 0.3:
        names.add(rng.choice(NAMES))
    listed = sorted(names)
    rng.shuffle(listed)
    other = schema.get("additionalProperties", True)
    return {name: document(named.get(name, other), root, rng, depth + 1) for name in listed}
