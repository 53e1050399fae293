"""Part 2: costs and variances beside genlm-control, and beside ASAp as it was published."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import guided
from guided.search import AWRS, ASAp

from ..figures import Figure, Report, Table, number
from ..speculating.timing import Plan, watched
from . import constraints, genlm, reference_asap
from .languages import Floats, Language
from .tasks import Task

#: Times ours must be shorter.
STEP_TARGET, DRAW_TARGET = 20, 10
OUTPUTS: dict[str, dict[str, Any]] = {
    "regex": {"regex": constraints.PATTERN},
    "json": {"schema": constraints.SCHEMA},
}


@dataclass(frozen=True)
class Runs:
    """Runs of particles.

    Attributes:
        steps: tokens drawn by particles.
        seconds: altogether, of which `inside` within the network.
        found: one of each.
    """

    steps: int
    seconds: float
    inside: float
    found: tuple[genlm.Population, ...]

    @property
    def step(self) -> float:
        """Milliseconds outside of the network for each particle-step."""
        return 1e3 * (self.seconds - self.inside) / self.steps


Sampler = Callable[[int], genlm.Population]


def timed(model: guided.Model, sampler: Sampler, seeds: Sequence[int], plan: Plan) -> Runs:
    """One run with every seed."""
    with watched(model.hf_model, plan) as inside:
        seconds, found = plan.take(lambda: [sampler(seed) for seed in seeds])
    steps = sum(each.steps for each in found)
    return Runs(steps, seconds, inside.seconds, tuple(found))


def ours(
    model: guided.Model,
    prompt: str,
    output: dict[str, Any],
    particles: int,
    longest: int,
    kappa: float = genlm.KAPPA,
) -> Sampler:
    """AWRS with its defaults, which are genlm-control's where it has them too."""
    search = AWRS(particles, kappa=kappa)

    def sample(seed: int) -> genlm.Population:
        found = search.run(
            model, prompt, seed=seed, max_new_tokens=longest, heal=False, draft=None, **output
        )
        log_total = found.certificate.log_z + math.log(particles)
        weights = tuple(
            (each.result.tokens, log_total + math.log(each.weight))
            for each in found.candidates
            if each.weight
        )
        return genlm.Population(found.certificate.tokens, found.certificate.log_z, weights)

    return sample


def measure_steps(particles: int, longest: int, plan: Plan, report: Report) -> None:
    """Time for a particle-step with a vocabulary of 32,000 tokens.

    Args:
        longest: tokens after which genlm-control is stopped.
    """
    table = Table(
        ["constraint, sampler", "ms/particle-step", "of it in the network", "particle-steps"],
        title=f"{particles} particles, 32,000 tokens, random weights; CPU time",
    )
    missing = genlm.reason_missing() or _reason_no_vocabulary()
    if missing is not None:
        report.notes.append(f"genlm-control: not run ({missing})")
        names = [f"genlm_to_guided_step_{name}" for name in OUTPUTS]
        report.figures += [Figure(name, None, "x", f">= {STEP_TARGET}") for name in names]
        return
    report.tables.append(table)
    model = constraints.model()
    for name, output in OUTPUTS.items():
        own = ours(model, constraints.PROMPT, output, particles, constraints.LONGEST)
        peer = genlm.GenLM(model, model.encode(constraints.PROMPT), output)
        both: dict[str, Sampler] = {
            "guided": own,
            "genlm-control": lambda seed, peer=peer: peer.run(particles, longest, seed),
        }
        own(0)
        runs: dict[str, list[Runs]] = {each: [] for each in both}
        for round_ in range(plan.rounds):
            print(f"{name}, round {round_ + 1} …", file=sys.stderr, flush=True)
            for each, sampler in both.items():
                runs[each].append(timed(model, sampler, [round_ + 1], plan))
        for each, some in runs.items():
            steps = sum(run.steps for run in some)
            whole = 1e3 * sum(run.seconds for run in some) / steps
            inside = 1e3 * sum(run.inside for run in some) / steps
            table.rows.append([f"{name}, {each}", number(whole), number(inside), str(steps)])
        pairs = zip(runs["genlm-control"], runs["guided"], strict=True)
        ratio = statistics.median(a.step / b.step for a, b in pairs)
        report.figures.append(
            Figure(f"genlm_to_guided_step_{name}", ratio, "x", f">= {STEP_TARGET}")
        )
    report.notes.append(
        "a network with random weights follows no constraint, so that most of the time goes to "
        "tokens that are rejected: guided asks for the mask after 16 of them, genlm-control checks "
        "on; where the model keeps to the constraint better the distance is smaller, as in the "
        "table of errors"
    )


def _reason_no_vocabulary() -> str | None:
    try:
        constraints.tokenizer()
    except ModuleNotFoundError as error:
        return str(error)
    return None


def measure_variance(
    tasks: Sequence[tuple[Task, Language]], particles: int, runs: int, report: Report
) -> None:
    """How much estimating the masses adds to the weights of particles that are never resampled.

    The texts have the masked law with both samplers, so that the weights of both differ from the
    product of the exact masses by nothing but what their estimators add.
    """
    title = f"weight over product of the exact masses; {runs} runs of {particles} particles"
    table = Table(
        ["task, sampler", "mean", "root mean square of it - 1", "ms/particle-step"], title=title
    )
    figure = "guided_to_genlm_variance_added"
    missing = genlm.reason_missing()
    if missing is not None:
        report.figures.append(Figure(figure, None, "x", "<= 1"))
        return
    report.tables.append(table)
    plan, ratios = Plan(1, clock=time.process_time), []
    for task, language in tasks:
        print(f"variance, {task.name} …", file=sys.stderr, flush=True)
        squares = {}
        for name, sampler in _unresampled(task, particles).items():
            sampler(runs)
            found = timed(task.model, sampler, range(runs), plan)
            shares = _over_exact(found, language)
            squares[name] = float(((shares - 1) ** 2).mean())
            cells = [float(shares.mean()), math.sqrt(squares[name]), found.step]
            table.rows.append([f"{task.name}, {name}", *map(number, cells)])
        ratios.append(squares["guided"] / squares["genlm-control"])
    value = statistics.geometric_mean(ratios)
    report.figures.append(Figure(figure, value, "x", "<= 1"))


def _unresampled(task: Task, particles: int) -> dict[str, Sampler]:
    output, prompt = dict(task.output), task.model.encode(task.prompt)
    peer = genlm.GenLM(task.model, prompt, output)
    return {
        "guided": ours(task.model, task.prompt, output, particles, task.limit, kappa=0),
        # Zero is taken the logarithm of; far fewer than one particle is the same.
        "genlm-control": lambda seed: peer.run(particles, task.limit, seed, kappa=1e-9),
    }


def _over_exact(runs: Runs, language: Language) -> Floats:
    """The weight of every particle in the language, over the product of the masses along it."""
    return np.array(
        [
            math.exp(log_weight - float(language.courses[language.number[text]].log_m.sum()))
            for found in runs.found
            for text, log_weight in found.weights
            if text in language.number
        ]
    )


def measure_draws(tasks: Sequence[Task], draws: int, plan: Plan, report: Report) -> None:
    """Time for a draw of ASAp as it was published, and of ours, in turn."""
    table = Table(
        ["task, ASAp", "ms/draw", "of it in the network"],
        title=f"{draws} draws from one trie; CPU time",
    )
    report.tables.append(table)
    for task in tasks:
        ways: dict[str, Callable[[int], Any]] = {
            "as published, around generate": lambda seed, task=task: reference_asap.draw(
                task, draws, seed
            ),
            "guided, batch 1": lambda seed, task=task: _asap(task, draws, 1, seed),
            "guided, batch 8": lambda seed, task=task: _asap(task, draws, 8, seed),
            "guided": lambda seed, task=task: _asap(task, draws, None, seed, "auto"),
        }
        times = {name: _best(task, way, plan) for name, way in ways.items()}
        for name, (seconds, inside) in times.items():
            cells = [number(1e3 * seconds / draws), number(1e3 * inside / draws)]
            table.rows.append([f"{task.name}, {name}", *cells])
        published = times["as published, around generate"][0]
        label = f"published_asap_to_guided_draw_{task.name.replace(' ', '_').lower()}"
        report.figures += [
            Figure(label, published / times["guided"][0], "x", f">= {DRAW_TARGET}"),
            Figure(f"{label}_batch_8", published / times["guided, batch 8"][0], "x"),
        ]
    report.notes.append(
        "ASAp as published: there is no package of it to install; the algorithm was written "
        "here, around generate, with the masks of this package instead of its authors' grammar "
        "engine in Python; guided with nothing said has rounds that grow with the draws, from 8 to "
        "64, and guesses ahead; with batch= it does not guess"
    )


def _asap(task: Task, draws: int, batch: int | None, seed: int, draft: Any = None) -> Any:
    options = {**task.options, "draft": draft}
    return ASAp(draws, batch=batch).run(task.model, task.prompt, seed=seed, **options)


def _best(task: Task, way: Callable[[int], Any], plan: Plan) -> tuple[float, float]:
    """The least seconds of all rounds, and those within the network; a first round warms up."""
    found = []
    for round_ in range(plan.rounds + 1):
        with watched(task.model.hf_model, plan) as inside:
            seconds, _ = plan.take(lambda seed=round_: way(seed))
        found.append((seconds, inside.seconds))
    return min(found[1:])
