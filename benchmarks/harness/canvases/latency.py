"""How long it takes to check a token on a canvas that is filled in random order.

Valid texts are laid out on a canvas and their tokens fixed one by one. Before each is fixed it is
checked, and a token from elsewhere in the text beside it. The first check after a fix pays for what
of the tables has to be filled again.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from guided.grammars.canvas import MASKED, Canvas, Verdict
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema
from guided.grammars.lark import sample
from guided.grammars.vocabulary import Vocabulary

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "address": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "zip": {"type": "string", "pattern": "^[0-9]{5}$"},
            },
            "required": ["city"],
        },
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer"},
                    "price": {"type": "number"},
                    "note": {"type": ["string", "null"]},
                },
                "required": ["id", "price"],
            },
        },
    },
    "required": ["name", "age"],
}
C_LINE = (
    "int sum(int n) { int i = 0; for (i = 0; i < n; i++) { total += f(i, x[i]); "
    'if (total > 100) { print("too many", total); break; } } return total; }\n'
)
PYTHON_LINES = (
    "def mean(values, start):\n    total = start\n    for x in values:\n"
    '        if x > 0:\n            total += x * 2\n    return total / f(values)\n\nprint("mean", '
    "mean([1, 2.5, 3], 0))\n"
)


@dataclass(frozen=True)
class Subject:
    """A grammar with a text of it for about as many tokens as wanted."""

    name: str
    grammar: Grammar
    text: Callable[[int], str]


@dataclass
class Filling:
    """What filling one canvas took, in seconds of processor time.

    Attributes:
        slots: length of the canvas.
        first: the first check after every fix.
        later: further checks on the same canvas.
        refused: tokens of the valid text that were not proven to fit.
        checks: number of tokens of the valid text that were checked.
    """

    slots: int
    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)
    refused: int = 0
    checks: int = 0

    @property
    def all(self) -> list[float]:
        """Every check."""
        return [*self.first, *self.later]

    def milliseconds(self, which: str, percentile: float) -> float:
        """A percentile of `first`, `later` or `all`."""
        return float(np.percentile(getattr(self, which), percentile)) * 1000


def subjects() -> list[Subject]:
    """The grammars that are measured."""
    return [
        Subject("json_schema", json_schema(SCHEMA), _document),
        Subject("c_like", sample("c_subset").grammar(), lambda n: C_LINE * (n // 20)),
        Subject(
            "python_like", sample("python_subset").grammar(), lambda n: PYTHON_LINES * (n // 20)
        ),
    ]


def _document(tokens: int) -> str:
    items = [{"id": i, "price": i * 1.5, "note": "some text"} for i in range((tokens - 45) // 20)]
    person = {"name": "Mira Sol", "age": 34, "tags": ["alpha", "beta"], "address": {"city": "Rome"}}
    return json.dumps({**person, "items": items} if items else person)


def fitting(subject: Subject, encode: Callable[[str], list[int]], slots: int) -> list[int]:
    """Tokens of the longest text of the subject that leaves a slot free."""
    for wanted in range(2 * slots, 0, -1):
        tokens = encode(subject.text(wanted))
        if 0 < len(tokens) < slots:
            return tokens
    raise ValueError(f"no text of {subject.name} fits into {slots} slots")


def fill(
    subject: Subject,
    vocabulary: Vocabulary,
    tokens: Sequence[int],
    slots: int,
    *,
    seed: int = 0,
    most_seconds: float = float("inf"),
) -> Filling:
    """Fixes `tokens` in random order on a canvas of `slots`; stops after `most_seconds`."""
    rng = random.Random(seed)
    canvas: Canvas = subject.grammar.canvas(vocabulary, slots)
    found = Filling(slots)
    order = list(range(len(tokens)))
    rng.shuffle(order)
    started = time.process_time()
    for slot in order:
        verdict, took = _timed(canvas, slot, tokens[slot])
        found.first.append(took)
        found.later.append(_timed(canvas, slot, tokens[slot - 1])[1])
        open_slot = rng.choice(order)
        if canvas.slots[open_slot] is MASKED:
            found.later.append(_timed(canvas, open_slot, tokens[open_slot])[1])
        found.checks += 1
        if verdict is Verdict.YES:
            after = canvas.fix({slot: tokens[slot]})
            canvas = canvas if after is None else after
        else:
            found.refused += 1
        if time.process_time() - started > most_seconds:
            break
    return found


def _timed(canvas: Canvas, slot: int, token: int) -> tuple[Verdict, float]:
    started = time.process_time()
    verdict = canvas.check(slot, token)
    return verdict, time.process_time() - started
