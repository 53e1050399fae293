"""Random arithmetic word problems with their steps, and drills of bare equations."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from . import grammar
from .grammar import Expansion
from .splits import words
from .surface import polish
from .values import Values

MOST = 99  # no total is larger
DISTRACTOR_SHARE = 0.2
BOXES = ("boxes", "bags", "packs", "crates", "jars", "trays", "baskets", "tins")


@dataclass(frozen=True)
class Problem:
    """A question, the equations that lead to its answer, and the answer."""

    question: str
    steps: tuple[str, ...]
    answer: int

    def prompt(self) -> str:
        return f"Question: {self.question}\n"

    def lines(self) -> list[str]:
        """The steps and the answer."""
        return [*self.steps, f"Answer: {self.answer}"]

    def solution(self) -> str:
        return "\n".join(self.lines())


@dataclass(frozen=True)
class Event:
    """What happens to a total: the rule that tells it, its numbers, equations and new total."""

    rule: str
    numbers: dict[str, int]
    steps: tuple[str, ...]
    total: int


def _add(x: int, rng: random.Random) -> Event:
    a = rng.randint(2, 20)
    return Event("add", {"a": a}, (f"{x}+{a}={x + a}",), x + a)


def _sub(x: int, rng: random.Random) -> Event:
    a = rng.randint(2, max(2, min(20, x - 2)))
    return Event("sub", {"a": a}, (f"{x}-{a}={x - a}",), x - a)


def _box_add(x: int, rng: random.Random) -> Event:
    b, c = rng.randint(2, 6), rng.randint(2, 6)
    steps = (f"{b}*{c}={b * c}", f"{x}+{b * c}={x + b * c}")
    return Event("box_add", {"b": b, "c": c}, steps, x + b * c)


def _box_sub(x: int, rng: random.Random) -> Event:
    b, c = rng.randint(2, 6), rng.randint(2, 6)
    steps = (f"{b}*{c}={b * c}", f"{x}-{b * c}={x - b * c}")
    return Event("box_sub", {"b": b, "c": c}, steps, x - b * c)


def _times(rule: str, factor: int) -> Callable[[int, random.Random], Event]:
    return lambda x, _: Event(rule, {}, (f"{x}*{factor}={x * factor}",), x * factor)


def _split(x: int, rng: random.Random) -> Event:
    parts = [d for d in range(2, 7) if x % d == 0 and x > d]
    d = rng.choice(parts or [1])
    return Event("split", {"a": d}, (f"{x}/{d}={x // d}",), x // d if parts else 0)


def _twice(x: int, rng: random.Random) -> Event:
    a = rng.randint(2, 12)
    steps = (f"{a}*2={2 * a}", f"{x}+{2 * a}={x + 2 * a}")
    return Event("twice", {"a": a}, steps, x + 2 * a)


EVENTS = (
    _add,
    _sub,
    _box_add,
    _box_sub,
    _times("double", 2),
    _times("triple", 3),
    _split,
    _twice,
)


def _event(x: int, rng: random.Random) -> Event:
    """An event that leaves a total between 1 and `MOST`."""
    while True:
        event = rng.choice(EVENTS)(x, rng)
        if 1 <= event.total <= MOST:
            return event


def problem(rng: random.Random, split: str = "train", least: int = 2, most: int = 4) -> Problem:
    """A problem of `least` to `most` events about people whose names are in `split`."""
    name, other = rng.sample(words("first_names", split), 2)
    item, item2 = rng.sample(words("counted", "train"), 2)
    total = rng.randint(4, 30)
    helpers = {"name": name, "other": other, "item": item, "item2": item2}
    helpers |= {"box": rng.choice(BOXES), "x": str(total)}
    pronoun, fresh = rng.choice(["she", "he"]), Values(rng, split).fresh

    def tell(rule: str, **numbers: int) -> str:
        shown = {key: str(number) for key, number in numbers.items()}
        known = helpers | {"who": rng.choice([name, pronoun])} | shown
        return Expansion(grammar.load("math"), {}, known, fresh, rng).rule(rule)

    sentences = [tell("start")]
    steps: list[str] = []
    for _ in range(rng.randint(least, most)):
        event = _event(total, rng)
        sentences.append(tell(event.rule, **event.numbers))
        steps += event.steps
        total = event.total
        if rng.random() < DISTRACTOR_SHARE:
            sentences.append(tell("aside", a=rng.randint(2, 30)))
    sentences.append(tell("ask"))
    return Problem(polish(". ".join(sentences), {})[0], tuple(steps), total)


def drill(rng: random.Random, count: int = 8) -> list[str]:
    """Bare equations with results of at most `MOST`."""
    lines: list[str] = []
    while len(lines) < count:
        op = rng.choice("+++---**/")
        a, b = rng.randint(2, MOST), rng.randint(2, 36)
        if op == "*":
            a, b = rng.choice([(rng.randint(2, 6), rng.randint(2, 6)), (a % 33 + 2, 2 + a % 2)])
        if op == "/":
            b = rng.randint(2, 6)
            a = b * rng.randint(2, 49)
        result = {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[op]
        if 1 <= result <= MOST and a <= MOST:
            lines.append(f"{a}{op}{b}={result}")
    return lines
