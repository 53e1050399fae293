"""Part 1: how near each method comes to the target, and what that takes."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ..figures import Figure, Report, Table, number
from . import curves
from .curves import CHAINS, Point
from .languages import Language, explore
from .tasks import Task

COLUMNS = ["method", "size", "model calls", "KL, nats", "TV"]
#: Moves of a chain that tables show.
SHOWN = (1, 2, 3, 5, 10)
#: Where a law has all but become the target, the ratio of divergences only tells of rounding.
MOST = 100.0
#: Moves of a chain at which its divergence is compared with that of masking, and the least ratio.
TARGETS = {3: 3, 10: 5}


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        prefixes: that are looked into for the exact law of a language.
        draws: of ASAp and CARS at which their cost is noted; `seeds`: runs of each.
        particles: numbers of particles; `budget`: particles of all runs of each number.
        attempts: of CARS, at most.
    """

    prefixes: int = 1024
    draws: tuple[int, ...] = (1, 5, 20, 50)
    seeds: int = 3
    particles: tuple[int, ...] = (2, 5, 20)
    budget: int = 300
    attempts: int = 300


def measure(tasks: Sequence[Task], effort: Effort, report: Report) -> dict[str, list[Point]]:
    """Adds a table for every task, and the reductions of restart chains; the points by task."""
    found, languages = (
        {},
        Table(
            ["task", "texts", "Z", "left out of Q", "of the mask", "masking KL", "TV"],
            title="the languages: every law is that among these texts",
        ),
    )
    report.tables.append(languages)
    for task in tasks:
        print(f"{task.name} …", file=sys.stderr, flush=True)
        language = explore(task, effort.prefixes)
        points = found[task.name] = _points(task, language, effort)
        languages.rows.append(_language_row(task, language, points[0]))
        rows = [_row(p) for p in points if p.method not in CHAINS or p.size in SHOWN]
        rows += [
            [f"CARS, {rate:.0%} accepted", str(size), number(calls), "0", "0"]
            for size, calls, rate in curves.cars(task, effort.draws, 1, effort.attempts)
        ]
        report.tables.append(Table(COLUMNS, rows, title=task.name))
    report.figures += [_reduction(found, steps, least) for steps, least in TARGETS.items()]
    report.notes += NOTES
    return found


NOTES = [
    f"the reductions of restart chains are geometric means over the tasks; more than {MOST:g} "
    f"counts as {MOST:g}",
    "model calls are tokens whose law the model has computed, whatever the batch: for chains and "
    "particles those of one draw, for ASAp and CARS those of all draws up to then",
    "size: moves of a chain, draws, particles; laws of chains are exact (powers of the transition "
    "matrix), ASAp's are exact given the draws and averaged over runs, those of AWRS + SMC are "
    "estimated from runs, with standard errors; CARS draws from the target itself",
]


def _points(task: Task, language: Language, effort: Effort) -> list[Point]:
    return [
        *curves.chains(language, max(TARGETS)),
        *curves.asap(task, language, effort.draws, effort.seeds),
        *curves.particles(task, language, effort.particles, effort.budget),
    ]


def _reduction(found: dict[str, list[Point]], steps: int, least: int) -> Figure:
    """The geometric mean over tasks of how many times lower the divergence is, at most `MOST`."""
    logs = []
    for points in found.values():
        (chain,) = (p for p in points if (p.method, p.size) == ("MCMC restart", steps))
        logs.append(math.log(min(MOST, points[0].kl / max(chain.kl, 1e-12))))
    value = math.exp(sum(logs) / len(logs))
    return Figure(f"mcmc_restart_kl_reduction_at_{steps}", value, "x", f">= {least}")


def _language_row(task: Task, language: Language, masking: Point) -> list[str]:
    return [
        task.name,
        str(len(language.courses)),
        f"{language.z:.2g}",
        f"{language.left_out:.1e}",
        f"{language.open_g:.1e}",
        number(masking.kl),
        number(masking.tv),
    ]


def _row(point: Point) -> list[str]:
    kl = number(point.kl) + (f" ± {number(point.error)}" if point.error else "")
    return [point.method, str(point.size), number(point.calls), kl, number(point.tv)]
