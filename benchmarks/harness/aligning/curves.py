"""How far each method's law is from the target after so many draws and model calls."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from guided.search import AWRS, CARS, ASAp, Search, Tries
from guided.search.aligned.metropolis import Variant
from guided.search.results import SearchResult

from .kernels import chain_laws, trie_law
from .languages import Floats, Language
from .tasks import Task

#: Names of the chains in tables, by what a move keeps.
CHAINS: dict[str, Variant] = {
    "MCMC restart": "restart",
    "MCMC prefix": "prefix",
    "MCMC priority": "priority",
}


@dataclass(frozen=True)
class Point:
    """A law beside the target.

    Attributes:
        method: its name.
        size: moves of a chain, draws that a trie has seen, or particles.
        calls: tokens whose law the model has computed, for one draw of this law; of a trie, for
            all draws until then. Batches and caches do not make them fewer.
        kl: KL(law || target) in nats; `tv`: the total variation.
        error: of `kl`, a standard error; 0 where the law is exact.
    """

    method: str
    size: int
    calls: float
    kl: float
    tv: float
    error: float = 0.0


def divergence(law: Floats, target: Floats) -> float:
    """KL(law || target) in nats."""
    some = law > 0
    return max(0.0, float((law[some] * np.log(law[some] / target[some])).sum()))


def variation(law: Floats, target: Floats) -> float:
    """The total variation."""
    return float(np.abs(law - target).sum() / 2)


def chains(language: Language, steps: int) -> list[Point]:
    """Masking alone, and the ends of chains of every variant: exact."""
    points = []
    for name, variant in CHAINS.items():
        for size, (law, calls) in enumerate(chain_laws(language, variant, steps)):
            kl, tv = divergence(law, language.q), variation(law, language.q)
            if size:
                points.append(Point(name, size, calls, kl, tv))
            elif variant == "restart":
                points.append(Point("masking alone", 1, calls, kl, tv))
    return points


def asap(task: Task, language: Language, draws: Sequence[int], seeds: int) -> list[Point]:
    """The law of ASAp's next draw after so many: exact given the draws, averaged over seeds."""
    runs = [list(_tries(task, language, draws, seed)) for seed in range(seeds)]
    points = []
    for number, size in enumerate(draws):
        kls, tvs, calls = zip(*(run[number] for run in runs), strict=True)
        points.append(
            Point("ASAp", size, _mean(calls), _mean(kls), _mean(tvs), _standard_error(kls))
        )
    return points


def _tries(
    task: Task, language: Language, draws: Sequence[int], seed: int
) -> Iterator[tuple[float, float, float]]:
    tries, drawn, calls = Tries(), 0, 0.0
    for number, size in enumerate(draws):
        search = ASAp(size - drawn, batch=1, tries=tries)
        found = run(task, search, 1000 * seed + number)
        drawn, calls = size, calls + found.spent["tokens"]
        law = trie_law(language, tries[tries.keys()[0]])
        yield divergence(law, language.q), variation(law, language.q), calls


def particles(task: Task, language: Language, sizes: Sequence[int], budget: int) -> list[Point]:
    """AWRS within SMC: the law of a particle drawn by weight, from many runs.

    Every run adds the weights of its particles, so that their mean is an unbiased estimate of the
    law. What the noise adds to its divergence is taken off by halving the runs.

    Args:
        budget: particles of all runs of a size together.
    """
    return [_particles(task, language, size, max(8, budget // size)) for size in sizes]


def _particles(task: Task, language: Language, size: int, runs: int) -> Point:
    found = AWRS(size).run(task.model, [task.prompt] * runs, seed=size, at_once=64, **task.options)
    laws, calls = [], []
    for each in found:
        alive = [(c.result.tokens, c.weight or 0.0) for c in each.candidates if c.weight]
        calls.append(each.spent["tokens"])
        if alive:
            laws.append(language.law_of(*zip(*alive, strict=True)))
    every = np.array(laws)
    kl, error = _halved(every, language.q)
    return Point(
        "AWRS + SMC", size, _mean(calls), kl, variation(every.mean(axis=0), language.q), error
    )


def _halved(laws: Floats, target: Floats) -> tuple[float, float]:
    """The divergence of the mean law, its bias of order 1 / n removed, and a standard error."""
    halves = [divergence(laws[start::2].mean(axis=0), target) for start in (0, 1)]
    whole = divergence(laws.mean(axis=0), target)
    tenths = [
        divergence(np.delete(laws, np.s_[start::10], axis=0).mean(axis=0), target)
        for start in range(10)
    ]
    # The jackknife over ten blocks.
    error = float(np.sqrt(9 / 10 * sum((t - _mean(tenths)) ** 2 for t in tenths)))
    return max(0.0, 2 * whole - _mean(halves)), error


def cars(task: Task, draws: Sequence[int], seeds: int, most: int) -> list[tuple[int, float, float]]:
    """Draws, and the model calls and the acceptance that they took: the mean over seeds.

    CARS is exact from the first draw on; what it learns makes it cheaper. Empty where `most`
    attempts are too few.
    """
    rows = []
    for size in draws:
        found = [run(task, CARS(size, batch=1, max_attempts=most), seed) for seed in range(seeds)]
        if any(each.stopped for each in found):
            break
        calls = _mean([each.spent["tokens"] for each in found])
        rows.append((size, calls, _mean([each.certificate.acceptance for each in found])))
    return rows


def run(task: Task, search: Search, seed: int) -> SearchResult:
    """One run of a search on a task."""
    return search.run(task.model, task.prompt, seed=seed, **task.options)


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values)


def _standard_error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
