"""Exact laws of the texts that a grammar allows, by looking at all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from guided.model import Model
from guided.search.aligned.metropolis import Course
from tests.search.exact_laws import STOP

Warp = Callable[[Tensor, Sequence[int]], Tensor]


@dataclass(frozen=True)
class Exact:
    """All texts of a language with their laws.

    Attributes:
        courses: one for every text, the stop token included.
        p: of the texts under the model, `[n]`; g: under the mask; q: the target.
    """

    courses: list[Course]

    @property
    def tokens(self) -> list[tuple[int, ...]]:
        return [course.tokens for course in self.courses]

    @property
    def p(self) -> np.ndarray:
        return np.array([math.exp(course.log_p.sum()) for course in self.courses])

    @property
    def g(self) -> np.ndarray:
        return np.array([math.exp(course.log_g.sum()) for course in self.courses])

    @property
    def z(self) -> float:
        return float(self.p.sum())

    @property
    def q(self) -> np.ndarray:
        return self.p / self.z

    def counts(self, drawn: Sequence[tuple[int, ...]]) -> np.ndarray:
        index = {tokens: number for number, tokens in enumerate(self.tokens)}
        return np.bincount([index[tokens] for tokens in drawn], minlength=len(index))


def exact(
    model: Model,
    prompt: Sequence[int],
    words: Sequence[Sequence[int]],
    warp: Warp = lambda logits, prefix: logits,
) -> Exact:
    """The laws of the words, each with the stop token behind it; without those of no chance.

    Args:
        warp: the logits `[V]` of the target from those of the model, and the prefix with the
            prompt.
    """
    texts = [(*word, STOP) for word in words]
    courses = []
    for text in texts:
        log_p, log_m, entropies = [], [], []
        for at, token in enumerate(text):
            prefix = [*prompt, *text[:at]]
            raw = model.network.forward(torch.tensor([prefix]), None, None, None).logits[0, -1]
            law = warp(raw.double(), prefix).log_softmax(-1)
            legal = sorted({other[at] for other in texts if other[:at] == text[:at]})
            log_p.append(float(law[token]))
            log_m.append(float(law[legal].logsumexp(0)))
            entropies.append(float(-(law.exp() * torch.where(law.isfinite(), law, 0)).sum()))
        if sum(log_p) > -math.inf:
            courses.append(Course(text, np.array(log_p), np.array(log_m), np.array(entropies)))
    return Exact(courses)


def chi_square(counts: np.ndarray, law: np.ndarray) -> float:
    """Pearson's statistic in standard deviations above its mean; cells below 5 are pooled.

    With k cells it has mean k - 1 and variance 2 (k - 1): a value above 5 happens by chance less
    than once in ten thousand for the cells of these tests.
    """
    expected = law * counts.sum()
    big = expected >= 5
    seen = np.append(counts[big], counts[~big].sum())
    wanted = np.append(expected[big], expected[~big].sum())
    seen, wanted = seen[wanted > 0], wanted[wanted > 0]
    free = max(1, len(seen) - 1)
    statistic = float(((seen - wanted) ** 2 / wanted).sum())
    return (statistic - free) / math.sqrt(2 * free)
