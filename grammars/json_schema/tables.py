"""Automata from a step function, explored state by state."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from guided.errors import GrammarTooLargeError
from guided.grammars.automata import Dfa

MAX_STATES = 20_000


def explore(
    start: Hashable,
    alphabet: bytes,
    row: Callable[[Any], Sequence[Hashable | None]],
    accepts: Callable[[Any], bool],
) -> Dfa:
    """The automaton of what is reachable from `start`.

    `row` gives the states after each byte of `alphabet`, None where no word goes on.
    """
    numbers: dict[Hashable, int] = {start: 0}
    queue = [start]
    rows: list[list[int]] = []
    for state in queue:
        following = []
        for target in row(state):
            if target is None:
                following.append(-1)
                continue
            number = numbers.setdefault(target, len(numbers))
            if number == len(queue):
                queue.append(target)
            following.append(number)
        rows.append([*following, -1])
        if len(queue) > MAX_STATES:
            raise GrammarTooLargeError(f"more than {MAX_STATES} states")
    classes = np.full(256, len(alphabet), np.uint8)
    classes[list(alphabet)] = np.arange(len(alphabet))
    accepting = np.array([accepts(state) for state in queue])
    return Dfa(np.array(rows, np.int32), classes, accepting)
