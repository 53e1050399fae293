"""Accuracy against what it costs: all methods on the same questions, at several sizes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import guided
from guided.search import (
    DVTS,
    SMC,
    AStar,
    Beam,
    BestOfN,
    ParticleFilter,
    Search,
    SearchResult,
)
from guided.search.voting import final_answer, winner

from ..figures import Figure, Report, Table
from .kept import Kept
from .outcome import COLUMNS, Outcome, averaged, difference
from .setting import LONGEST, Setting

#: Rows in a batch, about: the larger a search, the fewer problems are searched at a time.
ROWS = 128
#: Larger sizes are run with the first seed only.
REPEATED = 16
Method = Callable[[int], Search]

#: By size: samples, beams or particles.
SIZED: dict[str, Method] = {
    "beam": lambda n: Beam(n, 4),
    "DVTS": lambda n: DVTS(n, 4),
    "particle filter": lambda n: ParticleFilter(n),
    "SMC": lambda n: SMC(n),
}
#: The second was found on other held-out problems than those measured here.
ASTAR = {
    "A*": AStar(3),
    "A*, width 1, depth bonus 1": AStar(1, depth_bonus=1.0),
    "A*, as in the paper": AStar(4, cost="consistent", reexpand_penalty=None),
}
CHOSEN = "A*, width 1, depth bonus 1"


def solve(setting: Setting, search: Search, seed: int, temperature: float | None = 1.0) -> Outcome:
    """One search on all questions; without a temperature the search's own."""
    outcome, _ = solved(setting, search, seed, temperature)
    return outcome


def solved(
    setting: Setting,
    search: Search,
    seed: int,
    temperature: float | None = 1.0,
    draft: Any = "auto",
    at_once: int | None = None,
) -> tuple[Outcome, list[SearchResult]]:
    """The same, and what was found."""
    scorer = setting.scorer() if search.needs_reward else None
    began = time.process_time()
    results = search.run(
        setting.model,
        setting.prompts,
        scorer,
        temperature=temperature,
        seed=seed,
        max_new_tokens=LONGEST,
        heal=False,
        at_once=at_once or max(4, ROWS // _rows(search)),
        draft=draft,
    )
    seconds = time.process_time() - began
    right = setting.right([result.text for result in results])
    spent = [result.spent for result in results]
    outcome = Outcome(
        [float(one) for one in right],
        [one["tokens"] for one in spent],
        [one["reward_passes"] for one in spent],
        [one["reward_tokens"] for one in spent],
        seconds,
    )
    return outcome, results


def _rows(search: Search) -> int:
    """Sequences that a search grows at a time."""
    return int(getattr(search, "n", None) or getattr(search, "width", 1))


def greedy(setting: Setting) -> Outcome:
    """The likeliest token at every step."""
    began = time.process_time()
    results = guided.run(
        setting.model, setting.prompts, temperature=0.0, max_new_tokens=LONGEST, heal=False
    )
    seconds = time.process_time() - began
    right = [float(one) for one in setting.right([result.text for result in results])]
    nothing = [0.0] * len(right)
    return Outcome(right, [len(r.tokens) for r in results], nothing, nothing, seconds)


def votes(
    setting: Setting, drawn: Outcome, results: Sequence[SearchResult], weighted: bool
) -> Outcome:
    """What a vote makes of the samples that best-of-N has drawn."""
    texts = []
    for result in results:
        samples = result.candidates
        answers = [final_answer(sample.result.text) for sample in samples]
        weights = [(sample.score or 0.0) if weighted else 1.0 for sample in samples]
        chosen = winner(answers, weights)
        texts.append("" if chosen is None else samples[chosen].result.text)
    right = [float(one) for one in setting.right(texts)]
    nothing = [0.0] * len(right)
    if weighted:
        return Outcome(right, drawn.tokens, drawn.passes, drawn.read, drawn.seconds)
    return Outcome(right, drawn.tokens, nothing, nothing, 0.0)


def measure(
    setting: Setting, sizes: Sequence[int], seeds: Sequence[int], kept: Kept, report: Report
) -> None:
    """The table of all methods, and the figures of A* beside best-of-16."""
    found: dict[str, list[Outcome]] = {"greedy": kept.get(["greedy"], lambda: [greedy(setting)])}
    for seed in seeds:
        for size in sizes:
            if size <= REPEATED or seed == seeds[0]:
                _add_samples(found, setting, size, seed, kept)
                for name, make in SIZED.items():
                    _add(found, f"{name} {size}", setting, make(size), seed, kept)
        for name, search in ASTAR.items():
            _add(found, name, setting, search, seed, kept)
    means = {name: averaged(each) for name, each in found.items()}
    title = f"{len(setting.questions)} problems, {len(seeds)} seeds"
    if len(seeds) > 1 and max(sizes) > REPEATED:
        title += f"; sizes above {REPEATED}: one seed"
    table = Table(COLUMNS, title=title)
    table.rows += [mean.row(name) for name, mean in means.items()]
    report.tables.append(table)
    report.figures.append(Figure("greedy_accuracy", means["greedy"].accuracy, "%"))
    if 16 in sizes:
        report.figures += _astar(means, report)


def _add(
    found: dict[str, list[Outcome]],
    name: str,
    setting: Setting,
    search: Search,
    seed: int,
    kept: Kept,
) -> None:
    """Adds the outcome of one search."""
    outcomes = kept.get([f"{search!r}, seed {seed}"], lambda: [solve(setting, search, seed)])
    found.setdefault(name, []).extend(outcomes)
    print(f"{name}: {outcomes[0].accuracy:.1f} % right", file=sys.stderr, flush=True)


def _add_samples(
    found: dict[str, list[Outcome]], setting: Setting, size: int, seed: int, kept: Kept
) -> None:
    """Adds what a reward and votes choose among the same samples."""

    def measured() -> list[Outcome]:
        drawn, results = solved(setting, BestOfN(size), seed)
        voted = [votes(setting, drawn, results, weighted) for weighted in (False, True)]
        return [drawn, *voted]

    names = [f"best-of-{size}", f"majority of {size}", f"weighted best-of-{size}"]
    outcomes = kept.get([f"{name}, seed {seed}" for name in names], measured)
    for name, outcome in zip(names, outcomes, strict=True):
        found.setdefault(name, []).append(outcome)
        print(f"{name}: {outcome.accuracy:.1f} % right", file=sys.stderr, flush=True)


def _astar(means: dict[str, Outcome], report: Report) -> list[Figure]:
    astar, best = means[CHOSEN], means["best-of-16"]
    for name in ("best-of-16", "greedy"):
        gap, low, high = difference(astar, means[name])
        report.notes.append(f"{CHOSEN} minus {name}: {gap:+.1f} points [{low:+.1f}, {high:+.1f}]")
    gap, _, _ = difference(astar, best)
    return [
        Figure("astar_minus_best_of_16", gap, "points", ">= 4"),
        Figure("astar_to_best_of_16_tokens", sum(astar.tokens) / sum(best.tokens), "x", "<= 0.25"),
        Figure("astar_to_best_of_16_reward_passes", sum(astar.passes) / sum(best.passes), "x"),
        Figure(
            "astar_to_best_of_16_reward_tokens", sum(astar.read) / sum(best.read), "x", "<= 0.7"
        ),
    ]
