"""Problems with exact scores: list operations after ParallelBench, and objects out of notes."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guided.grammars.grammar import Grammar

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "examples" / "training"))

from recipe.listops import OPERATIONS, problem, read  # noqa: E402
from recipe.records import record  # noqa: E402
from recipe.scoring import parsed  # noqa: E402

LISTS = ("copy", "sort", "replace_random", "shuffle")
LIST_SLOTS, RECORD_SLOTS = 16, 32


@dataclass(frozen=True)
class Question:
    """A prompt, the slots of its canvas, its schema, and how a text is scored.

    Attributes:
        grammar: what an answer has to be, where no schema says so.
    """

    prompt: str
    slots: int
    schema: dict[str, Any]
    is_valid: Callable[[str], bool]
    is_right: Callable[[str], bool]
    grammar: Grammar | None = None


def list_question(name: str, rng: random.Random) -> Question:
    """A random problem of a list operation."""
    asked, operation = problem(name, rng), OPERATIONS[name]
    schema = {"type": "array", "items": {"type": "string"}}
    return Question(
        operation.prompt(asked),
        LIST_SLOTS,
        schema,
        lambda text: read(text) is not None,
        lambda text: operation.scored(asked, text),
    )


def record_question(rng: random.Random) -> Question:
    """A random note with the object that it states."""
    made = record(rng)
    kinds = {str: "string", int: "integer"}
    schema = {
        "type": "object",
        "properties": {key: {"type": kinds[type(value)]} for key, value in made.wanted.items()},
        "required": list(made.wanted),
        "additionalProperties": False,
    }
    return Question(
        made.prompt(),
        RECORD_SLOTS,
        schema,
        lambda text: is_of(text, schema),
        lambda text: parsed(text) == made.wanted,
    )


def questions(kind: str, count: int, seed: int) -> list[Question]:
    """Random questions of a kind: the name of a list operation, or "json"."""
    rng = random.Random(f"{kind} {seed}")
    make = record_question if kind == "json" else lambda rng: list_question(kind, rng)
    return [make(rng) for _ in range(count)]


def is_of(text: str, schema: dict[str, Any]) -> bool:
    """Whether a text is an object with exactly the fields of a flat schema."""
    value = parsed(text)
    kinds = {"string": str, "integer": int}
    wanted = schema["properties"]
    return (
        isinstance(value, dict)
        and set(value) == set(wanted)
        and all(type(value[key]) is kinds[each["type"]] for key, each in wanted.items())
    )
