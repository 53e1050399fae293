"""Times of several ways to do the same work: one after the other, round by round."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from tqdm import tqdm

from .ways import Way

#: Asking for it takes as long as many a thing that is measured.
_HAS_CUDA = torch.cuda.is_available()


def synchronise() -> None:
    """Waits for the accelerator, if there is one."""
    if _HAS_CUDA:
        torch.cuda.synchronize()


@dataclass(frozen=True)
class Plan:
    """How much is measured, and by which clock.

    Attributes:
        rounds: how often each way runs and is counted.
        batches: numbers of rows decoded at a time.
        sequential: the largest batch for which ways that take one prompt at a time are run.
        warms_up: whether every way runs once more, first and not counted.
        clock: wall time or CPU time in seconds.
        ways: the names of the ways that are run; None: all.
        keep: called when there is something new in the report, to put it away.
    """

    rounds: int
    batches: Sequence[int] = (1,)
    sequential: int = 8
    warms_up: bool = True
    clock: Callable[[], float] = time.perf_counter
    ways: Collection[str] | None = None
    keep: Callable[[], None] = lambda: None

    def take(self, work: Callable[[], Any]) -> tuple[float, Any]:
        """Seconds that some work takes, and what it gives."""
        synchronise()
        began = self.clock()
        result = work()
        synchronise()
        return self.clock() - began, result


@dataclass
class Forward:
    """Time spent in a model's forward, and how often it was called."""

    seconds: float = 0.0
    calls: int = 0


@contextmanager
def watched(model: Any, plan: Plan) -> Iterator[Forward]:
    """Measures `model.forward` while the block runs."""
    forward, found = model.forward, Forward()

    @functools.wraps(forward)
    def timed(*arguments: Any, **named: Any) -> Any:
        seconds, output = plan.take(lambda: forward(*arguments, **named))
        found.seconds += seconds
        found.calls += 1
        return output

    model.forward = timed
    try:
        yield found
    finally:
        del model.forward


@dataclass
class Times:
    """Times of one way, one for each round, and the texts of its last round."""

    seconds: list[float] = field(default_factory=list)
    texts: Sequence[str] = ()

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def race(
    ways: Mapping[str, Way], prompts: Callable[[], Sequence[str]], plan: Plan
) -> dict[str, Times]:
    """Times of all ways, in turn in every round; a round before them warms up.

    Every other round goes backwards, so that a machine that gets slower favours none of two ways.

    Args:
        prompts: gives the prompts of the next round, which are the same for all ways.
    """
    times = {name: Times() for name in ways}
    for number in range(0 if plan.warms_up else 1, plan.rounds + 1):
        given = prompts()
        turns = list(ways.items())[:: -1 if number % 2 else 1]
        for name, way in tqdm(turns, f"{len(given)} rows", disable=None, leave=False):
            seconds, texts = plan.take(functools.partial(way, given))
            times[name].texts = texts
            if number:
                times[name].seconds.append(seconds)
    return times


def ratio(times: Mapping[str, Times], slow: str, fast: str) -> float | None:
    """How many times as long `slow` takes as `fast`: the median over the rounds."""
    if slow not in times or fast not in times:
        return None
    pairs = zip(times[slow].seconds, times[fast].seconds, strict=True)
    return statistics.median(a / b for a, b in pairs)


def agreement(times: Mapping[str, Times], name: str, reference: str) -> float:
    """Share of the texts that are the same as those of `reference`."""
    pairs = list(zip(times[name].texts, times[reference].texts, strict=True))
    return sum(a.strip() == b.strip() for a, b in pairs) / len(pairs)
