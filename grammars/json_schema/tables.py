"""Automata from a step function, explored state by state."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from guided.errors import GrammarTooLargeError
from guided.grammars.automata import Dfa

MAX_STATES = 20_000


def explore(
    start: Hashable,
    alphabet: bytes,
    step: Callable[[Any, int], Hashable | None],
    accepts: Callable[[Any], bool],
) -> Dfa:
    """The automaton of what is reachable from `start`; `step` gives None where no word goes on."""
    numbers: dict[Hashable, int] = {start: 0}
    queue = [start]
    rows: list[list[int]] = []
    for state in queue:
        row = []
        for byte in alphabet:
            target = step(state, byte)
            if target is None:
                row.append(-1)
                continue
            number = numbers.setdefault(target, len(numbers))
            if number == len(queue):
                queue.append(target)
            row.append(number)
        rows.append([*row, -1])
        if len(queue) > MAX_STATES:
            raise GrammarTooLargeError(f"more than {MAX_STATES} states")
    classes = np.full(256, len(alphabet), np.uint8)
    classes[list(alphabet)] = np.arange(len(alphabet))
    accepting = np.array([accepts(state) for state in queue])
    return Dfa(np.array(rows, np.int32), classes, accepting)
