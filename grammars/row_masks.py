"""Masks of many rows at once."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from guided.errors import GrammarTooLargeError
from guided.grammars.mask_helpers import n_cores
from guided.grammars.mask_work import MOST_JOBS, work
from guided.grammars.spots import FINISHED
from guided.grammars.states import GrammarState
from guided.grammars.token_engine import TokenEngine

#: Masks for each grammar from which on other threads help. With fewer rows a grammar, what one core
#: knows of each has to go to the other, which takes longer than it saves (benchmarks/mask_threads).
LEAST_SHARED = 16


def make_masks(states: Iterable[object], threads: int | None = None) -> None:
    """Makes the masks of `states` that nobody has asked for before: `mask()` then has them.

    It is a matter of speed only: a call of a kernel makes them all, and where there are many other
    threads help. What is no `GrammarState` is left alone, as is what cannot be made in this way.

    Args:
        threads: how many work at once, this one included; None: one for each core where many rows
            share a grammar, else one.
    """
    wanted: dict[tuple[TokenEngine, int], None] = {}
    for state in states:
        if not isinstance(state, GrammarState):
            continue
        engine, config = state.engine, state.config
        if config in engine.masks or config == FINISHED or engine.careful or engine.parser.full:
            continue
        representative = engine.representative(config)
        if representative not in engine.masks:
            wanted[engine, representative] = None
    if len(wanted) < 2:
        return
    groups: dict[int, list[tuple[TokenEngine, int]]] = {}
    for each in wanted:
        groups.setdefault(id(each[0].vocabulary), []).append(each)
    for group in groups.values():
        for begin in range(0, len(group), MOST_JOBS):
            _make(group[begin : begin + MOST_JOBS], threads)


def _make(wanted: list[tuple[TokenEngine, int]], threads: int | None) -> None:
    if threads is None:
        grammars = len({engine for engine, _ in wanted})
        threads = n_cores() if len(wanted) >= LEAST_SHARED * grammars else 1
    jobs = work(wanted[0][0].vocabulary, MOST_JOBS)
    # Who asks for the mask that was too much is told.
    with suppress(GrammarTooLargeError):
        made = jobs.many(wanted, threads)
        for (engine, config), each in zip(wanted, made, strict=True):
            engine.enter(config, each)
