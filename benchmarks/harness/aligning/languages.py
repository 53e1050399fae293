"""The texts of a small language with their exact laws, by looking at all that is likely."""

from __future__ import annotations

import copy
import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import guided
from guided.controls.measured_mask import MeasuredMask, MeasuredState
from guided.controls.protocol import Context
from guided.search.aligned.metropolis import Course
from guided.search.resampling import log_sum

from .tasks import Task

Floats = NDArray[np.float64]
BATCH = 64


@dataclass(frozen=True, eq=False)
class Language:
    """Texts with their laws.

    The laws are those among these texts; what is left out is small, and said.

    Attributes:
        open_p: the probability under the model of legal prefixes that were not looked into.
        open_g: the same under the masked law; 0 of both where the language is complete.
    """

    courses: Sequence[Course]
    open_p: float = 0.0
    open_g: float = 0.0

    @cached_property
    def number(self) -> dict[tuple[int, ...], int]:
        """Where each text stands."""
        return {course.tokens: i for i, course in enumerate(self.courses)}

    @cached_property
    def log_p(self) -> Floats:
        return np.array([course.log_p.sum() for course in self.courses])

    @cached_property
    def z(self) -> float:
        """The probability that a text of the model is one of these."""
        return math.exp(log_sum(self.log_p))

    @cached_property
    def q(self) -> Floats:
        """The target, `[n]`."""
        return np.exp(self.log_p - log_sum(self.log_p))

    @cached_property
    def g(self) -> Floats:
        """The masked law, `[n]`."""
        logs = np.array([course.log_g.sum() for course in self.courses])
        return np.exp(logs - log_sum(logs))

    @property
    def left_out(self) -> float:
        """The share of the target that may lie in texts that were not looked at, at most."""
        return self.open_p / (self.z + self.open_p)

    @cached_property
    def lengths(self) -> Floats:
        """Tokens of each text, `[n]`."""
        return np.array([len(course.tokens) for course in self.courses], float)

    def law_of(self, texts: Sequence[tuple[int, ...]], weights: Sequence[float]) -> Floats:
        """What weighted draws say of the law, `[n]`; texts that were left out are not counted."""
        law = np.zeros(len(self.courses))
        for text, weight in zip(texts, weights, strict=True):
            if text in self.number:
                law[self.number[text]] += weight
        return law / law.sum()


@dataclass(eq=False)
class Prefix:
    """A legal prefix, with what was seen on the way to it.

    Attributes:
        above: the state before its last token; that at the start, where it has none.
    """

    tokens: tuple[int, ...]
    above: MeasuredState
    log_p: tuple[float, ...] = ()
    log_m: tuple[float, ...] = ()
    entropies: tuple[float, ...] = ()
    is_open: bool = True

    @cached_property
    def p(self) -> float:
        return math.exp(math.fsum(self.log_p))

    @cached_property
    def g(self) -> float:
        return math.exp(math.fsum(self.log_p) - math.fsum(self.log_m))

    @cached_property
    def state(self) -> MeasuredState:
        """After its last token, which ends no text."""
        return self.above.advance(self.tokens[-1]) if self.tokens else self.above

    @property
    def course(self) -> Course:
        return Course(self.tokens, *map(np.array, (self.log_p, self.log_m, self.entropies)))


@dataclass(eq=False)
class Frontier:
    """Prefixes not looked into yet; the likeliest of them under the model and under the mask.

    Attributes:
        p, g: their probabilities under both, rounded.
    """

    heaps: tuple[list[Any], list[Any]] = field(default_factory=lambda: ([], []))
    count: int = 0
    p: float = 0.0
    g: float = 0.0

    def add(self, prefix: Prefix) -> None:
        self.count += 1
        self.p, self.g = self.p + prefix.p, self.g + prefix.g
        for heap, value in zip(self.heaps, (prefix.p, prefix.g), strict=True):
            heapq.heappush(heap, (-value, self.count, prefix))

    def take(self, most: int) -> list[Prefix]:
        taken: list[Prefix] = []
        while len(taken) < most and any(self.heaps):
            heap = self.heaps[len(taken) % 2] or self.heaps[0] or self.heaps[1]
            prefix = heapq.heappop(heap)[2]
            if prefix.is_open:
                prefix.is_open = False
                self.p, self.g = self.p - prefix.p, self.g - prefix.g
                taken.append(prefix)
        return taken

    @property
    def open(self) -> Iterator[Prefix]:
        return (entry[2] for entry in self.heaps[0] if entry[2].is_open)


class Reader:
    """Next-token laws after a prompt, whose keys and values are computed once."""

    def __init__(self, model: guided.Model, prompt: Sequence[int]) -> None:
        self.network = model.network
        self.first = self.network.forward(torch.tensor([list(prompt)]), None, None, None)

    def laws(self, prefixes: Sequence[Prefix]) -> Floats:
        """Log-probabilities `[n, V]` after each prefix."""
        longest = max(len(prefix.tokens) for prefix in prefixes)
        logits = self.first.logits.expand(len(prefixes), -1, -1)
        if longest:
            cache = copy.deepcopy(self.first.cache)
            cache.batch_repeat_interleave(len(prefixes))
            rows = [[*p.tokens, *[0] * (longest - len(p.tokens))] for p in prefixes]
            found = self.network.forward(torch.tensor(rows), None, None, cache, kept=longest)
            logits = torch.cat([logits, found.logits], dim=1)
        ends = torch.tensor([len(prefix.tokens) for prefix in prefixes])
        chosen = logits[torch.arange(len(prefixes)), ends].double()
        laws: Floats = chosen.log_softmax(-1).numpy()
        return laws


def explore(task: Task, most: int, tolerance: float = 1e-3) -> Language:
    """The likeliest texts of a task's language.

    Args:
        most: prefixes that are looked into, about.
        tolerance: shares of the target and of the masked law that may be left out; where the
            prefixes do not suffice it is more.
    """
    prompt = tuple(task.model.encode(task.prompt))
    mask, reader = MeasuredMask(task.grammar), Reader(task.model, prompt)
    frontier, texts = Frontier(), list[Prefix]()
    frontier.add(Prefix((), mask.begin(Context(prompt, task.model.vocabulary, task.limit))))
    seen = 0
    while seen < most and (batch := frontier.take(BATCH)):
        seen += len(batch)
        for prefix, law in zip(batch, reader.laws(batch), strict=True):
            for child, ends in _children(prefix, law, task.model):
                texts.append(child) if ends else frontier.add(child)
        if _left(frontier, texts) < tolerance:
            break
    rest = list(frontier.open)
    return Language(
        [text.course for text in texts], math.fsum(r.p for r in rest), math.fsum(r.g for r in rest)
    )


def _left(frontier: Frontier, texts: Sequence[Prefix]) -> float:
    z = math.fsum(text.p for text in texts)
    return max(frontier.g, frontier.p / z if z else 1.0)


def _children(prefix: Prefix, law: Floats, model: guided.Model) -> Iterator[tuple[Prefix, bool]]:
    """The legal prefixes that are one token longer, and whether they end there."""
    allowed = np.flatnonzero(
        np.unpackbits(prefix.state.mask.view(np.uint8), bitorder="little")[: len(law)]
    )
    allowed = allowed[law[allowed] > -np.inf]
    log_m = log_sum(law[allowed])
    entropy = float(-(np.exp(law) * np.where(law > -np.inf, law, 0)).sum())
    for token in allowed.tolist():
        ends = token in model.vocabulary.stop_ids
        yield (
            Prefix(
                (*prefix.tokens, token),
                prefix.state,
                (*prefix.log_p, float(law[token])),
                (*prefix.log_m, log_m),
                (*prefix.entropies, entropy),
            ),
            ends,
        )
