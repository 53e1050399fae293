"""Methods without a reward: power sampling, CNTP, AdaDec, beside greedy and plain sampling."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from guided.search import CNTP, AdaDec, Majority, MHPower, PowerSMC, Search
from guided.search.adadec_threshold import learn_threshold

from ..data import ROOT
from ..figures import Figure, Report, Table
from .accuracy import greedy, solve, solved
from .outcome import COLUMNS, Outcome, averaged, difference
from .setting import Setting

#: MH takes many times longer than all others; it is compared on so many of the problems.
MH_PROBLEMS = 60
#: Training problems whose solutions AdaDec's threshold is learned from.
LESSONS = 1000
PARTICLES = 16
ALPHA = 4.0
BLOCK = 16
POWER = f"Power-SMC {PARTICLES}"
LATENCIES = 6


def measure(setting: Setting, seeds: Sequence[int], theta: float | None, report: Report) -> None:
    """The table, and the figures of Power-SMC beside one plain decode and beside MH.

    Args:
        theta: entropy in nats from which AdaDec looks ahead; None: learned on training problems.
    """
    theta = learned_theta(setting) if theta is None else theta
    power, mh = PowerSMC(PARTICLES, ALPHA, block=BLOCK), MHPower(ALPHA, block=BLOCK)
    ways: dict[str, Search] = {
        "sampling": Majority(1),
        "CNTP": CNTP(),
        "AdaDec": AdaDec(theta),
        POWER: power,
    }
    found: dict[str, Outcome] = {"greedy": greedy(setting)}
    for name, search in ways.items():
        temperature = None if name in ("AdaDec", POWER) else 1.0
        # AdaDec draws nothing.
        chosen = seeds[:1] if name == "AdaDec" else seeds
        found[name] = averaged([solve(setting, search, seed, temperature) for seed in chosen])
        print(f"{name}: {found[name].accuracy:.1f} % right", file=sys.stderr, flush=True)
    few = replace(setting, questions=setting.questions[:MH_PROBLEMS])
    both = {
        f"{name}, the first {len(few.questions)}": solve(few, search, seeds[0], None)
        for name, search in ((POWER, power), ("MH power sampling", mh))
    }
    table = Table(COLUMNS, title=f"without a reward; {len(setting.questions)} problems")
    table.rows += [outcome.row(name) for name, outcome in {**found, **both}.items()]
    report.tables.append(table)
    gap, low, high = difference(*both.values())
    report.notes.append(f"Power-SMC minus MH: {gap:+.1f} points [{low:+.1f}, {high:+.1f}]")
    report.figures += [
        *_latencies(setting, seeds[0], power, mh, report),
        Figure("power_smc_minus_mh", gap, "points"),
    ]
    _beside_greedy(found, report)
    report.notes.append(
        f"alpha {ALPHA:g}, blocks of {BLOCK} tokens, MH: 10 steps after each block; CNTP and "
        f"AdaDec at the published settings, theta {theta:.3f} nats learned on training problems"
    )


def learned_theta(setting: Setting) -> float:
    """AdaDec's threshold, learned from the reference solutions of training problems."""
    sys.path.append(str(ROOT / "examples" / "training"))
    from recipe.chains import problems

    lessons = [(one.prompt(), one.solution()) for one in problems(LESSONS, seed=5, split="train")]
    return learn_threshold(setting.model, lessons, seed=42).theta


def _beside_greedy(found: Mapping[str, Outcome], report: Report) -> None:
    for name in ("CNTP", "AdaDec"):
        for base in ("greedy", "sampling"):
            gap, low, high = difference(found[name], found[base])
            report.figures.append(Figure(f"{name.lower()}_minus_{base}", gap, "points"))
            report.notes.append(f"{name} minus {base}: {gap:+.1f} points [{low:+.1f}, {high:+.1f}]")


def _latencies(
    setting: Setting, seed: int, power: Search, mh: Search, report: Report
) -> list[Figure]:
    """Times of one problem after the other, as somebody waits for them; the median ratios."""
    ways = [(Majority(PARTICLES), 1.0), (power, None), (mh, None)]
    times: list[list[float]] = [[] for _ in ways]
    for question in setting.questions[: LATENCIES + 1]:
        one = replace(setting, questions=[question])
        for (search, temperature), seconds in zip(ways, times, strict=True):
            outcome, _ = solved(one, search, seed, temperature, draft=None, at_once=1)
            seconds.append(outcome.seconds)
    # The first one warms up.
    plain_s, power_s, mh_s = (seconds[1:] for seconds in times)
    report.notes.append(f"latencies: medians over {LATENCIES} problems, one at a time, no drafts")
    return [
        Figure("power_smc_to_plain_decode_time", _ratio(power_s, plain_s), "x", "<= 1.4"),
        Figure("mh_to_power_smc_time", _ratio(mh_s, power_s), "x", ">= 5"),
    ]


def _ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))
