"""Operations on lists of words, scored exactly, after the waiting-line tasks of ParallelBench.

Every token of an answer is easy, but where many answers are right (any order, any place) its tokens
depend on each other: who commits several at a time without looking mixes two answers into a wrong
one. Regenerated from the definitions of arXiv 2510.04767.
"""

from __future__ import annotations

import functools
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .splits import WORDS

Words = list[str]
LONGEST = 15
"""More items than that have no answer here, as in the benchmark."""


@functools.cache
def pool(size: int = 32) -> tuple[str, ...]:
    """The words that lists are made of."""
    text = (WORDS / "nouns.txt").read_text(encoding="utf-8")
    listed = [word.strip() for word in text.replace("\n", " ").split(",")]
    return tuple(word for word in listed if word.isalpha())[:size]


@dataclass(frozen=True)
class Problem:
    """A list, and what an operation needs beside it: another word, a place, a number of times."""

    given: Words
    word: str = ""
    index: int = 0
    times: int = 1


@dataclass(frozen=True)
class Operation:
    """One task: how it is asked, one right answer at random, and whether an answer is right.

    `ask` may name `{word}`, `{index}` and `{times}`. `free`: several answers are right.
    """

    name: str
    ask: str
    answer: Callable[[Problem, random.Random], Words]
    right: Callable[[Problem, Words], bool]
    free: bool = False

    def prompt(self, problem: Problem) -> str:
        """The question, up to the place where the answer begins."""
        fields = {"word": problem.word, "index": problem.index, "times": problem.times}
        return f"{self.ask.format(**fields)}: {written(problem.given)}\nList: "

    def scored(self, problem: Problem, text: str) -> bool:
        """Whether a text is a right answer, in exactly the form asked for."""
        found = read(text)
        return found is not None and self.right(problem, found)


def written(items: Words) -> str:
    """A list as it is asked for: `["a", "b"]`."""
    return json.dumps(items)


def read(text: str) -> Words | None:
    """The items of a text that has exactly the form of `written`; None for any other text."""
    try:
        items = json.loads(text)
    except ValueError:
        return None
    strings = isinstance(items, list) and all(isinstance(item, str) for item in items)
    return items if strings and written(items) == text else None


def deterministic(name: str, ask: str, answer: Callable[[Problem], Words]) -> Operation:
    """An operation with one right answer."""
    return Operation(name, ask, lambda p, rng: answer(p), lambda p, found: found == answer(p))


def _shuffled(problem: Problem, rng: random.Random) -> Words:
    items = list(problem.given)
    while items == problem.given:
        rng.shuffle(items)
    return items


def _is_shuffled(problem: Problem, found: Words) -> bool:
    return found != problem.given and Counter(found) == Counter(problem.given)


def inserted(items: Words, index: int, word: str) -> Words:
    """The list with one more item, before the one that stands at `index`."""
    return [*items[:index], word, *items[index:]]


def removed(items: Words, index: int) -> Words:
    """The list without the item at `index`."""
    return [*items[:index], *items[index + 1 :]]


def replaced(items: Words, index: int, word: str) -> Words:
    """The list with another item at `index`."""
    return [*items[:index], word, *items[index + 1 :]]


def anywhere(
    name: str, ask: str, change: Callable[[Problem, int], Words], extra: int = 0
) -> Operation:
    """An operation that may happen at any place; `extra` places more than there are items."""

    def answer(problem: Problem, rng: random.Random) -> Words:
        return change(problem, rng.randrange(len(problem.given) + extra))

    def right(problem: Problem, found: Words) -> bool:
        places = range(len(problem.given) + extra)
        return any(found == change(problem, place) for place in places)

    return Operation(name, ask, answer, right, free=True)


OPERATIONS: dict[str, Operation] = {
    one.name: one
    for one in (
        deterministic("copy", "Copy", lambda p: p.given),
        deterministic("reverse", "Reverse", lambda p: p.given[::-1]),
        deterministic("sort", "Sort", lambda p: sorted(p.given)),
        Operation("shuffle", "Shuffle", _shuffled, _is_shuffled, free=True),
        deterministic(
            "insert_index",
            "Insert {word} at {index}",
            lambda p: inserted(p.given, p.index, p.word),
        ),
        anywhere(
            "insert_random",
            "Insert {word} anywhere",
            lambda p, i: inserted(p.given, i, p.word),
            extra=1,
        ),
        deterministic("remove_index", "Remove item {index}", lambda p: removed(p.given, p.index)),
        anywhere("remove_random", "Remove any item", lambda p, i: removed(p.given, i)),
        deterministic(
            "replace_index",
            "Replace item {index} by {word}",
            lambda p: replaced(p.given, p.index, p.word),
        ),
        anywhere(
            "replace_random",
            "Replace any item by {word}",
            lambda p, i: replaced(p.given, i, p.word),
        ),
        deterministic(
            "repeat_each",
            "Repeat each item {times} times",
            lambda p: [item for item in p.given for _ in range(p.times)],
        ),
        deterministic("repeat_list", "Repeat the list {times} times", lambda p: p.given * p.times),
    )
}


def problem(
    name: str, rng: random.Random, shortest: int = 3, longest: int = 6, words: Words | None = None
) -> Problem:
    """A random problem of an operation, its list from `shortest` to `longest` words long."""
    chosen = list(pool()) if words is None else words
    size = rng.randint(shortest, longest)
    times = 1
    if name.startswith("repeat"):
        times = rng.randint(2, 6)
        size = max(1, min(size, LONGEST // times))
    *given, word = rng.sample(chosen, size + 1)
    places = size + 1 if name.startswith("insert") else size
    return Problem(given, word, rng.randrange(places), times)
