"""Field lists: which of the facts a prompt asks for, under which type, and how they nest."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from .numbers import each
from .surface import Span

Json = Any
WRAPPERS = each("details info data record entry about profile extra main facts")


@dataclass
class Field:
    """One wanted field: its name, type and value, and whether it may be absent.

    A told one also has its place in the text and its role there (empty: any role).
    """

    name: str
    type: str
    value: Json
    optional: bool = False
    at: Span | None = None
    role: str = ""

    def described(self) -> str:
        return f"{self.name} ({self.type}{', optional' if self.optional else ''})"


def wanted(rng: random.Random, told: list[Field], absent: list[Field]) -> list[Field]:
    """Some of the told fields in some order, now and then optional, absent or nested ones."""
    keep = len(told) if rng.random() < 0.5 else rng.randint(1, len(told))
    fields = rng.sample(told, keep)
    if rng.random() < 0.5:
        fields.sort(key=told.index)
    for field in fields:
        field.optional = rng.random() < 0.06
    if absent and rng.random() < 0.2:
        for field in rng.sample(absent, min(len(absent), rng.choice([1, 1, 2]))):
            if field.name not in {other.name for other in fields}:
                fields.insert(rng.randint(0, len(fields)), field)
    return _nested(rng, fields)


def retyped(rng: random.Random, field: Field, surface: str) -> Field:
    """Now and then the same fact under another type that a user may ask for."""
    chance = rng.random()
    if field.type == "integer" and chance < 0.06 and surface.isdigit():
        return Field(field.name, "number", field.value)
    simple = field.type in ("integer", "number", "list of strings")
    if simple and 0.06 < chance < 0.1:
        return Field(field.name, "string", surface)
    return field


def _nested(rng: random.Random, fields: list[Field]) -> list[Field]:
    """Now and then two or three neighbouring fields become an object."""
    names = [field.name for field in fields]
    if "street" in names and "city" in names and rng.random() < 0.6:
        inner = [field for field in fields if field.name in ("street", "city", "zip")]
        return _wrap(rng, fields, inner, "address")
    if len(fields) < 3 or rng.random() > 0.07:
        return fields
    start = rng.randrange(len(fields) - 1)
    inner = fields[start : start + rng.randint(2, 3)]
    return _wrap(rng, fields, inner, rng.choice(WRAPPERS))


def _wrap(rng: random.Random, fields: list[Field], inner: list[Field], name: str) -> list[Field]:
    outer = [field for field in fields if field not in inner]
    described = ", ".join(field.described() for field in inner)
    whole = Field(name, f"object({described})", {field.name: field.value for field in inner})
    outer.insert(rng.randint(0, len(outer)), whole)
    return outer
