"""Methods without a reward: power sampling, CNTP, AdaDec, beside greedy and plain sampling."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from guided.search import CNTP, AdaDec, Majority, MHPower, PowerSMC, Search

from ..figures import Figure, Report, Table
from .accuracy import greedy, solve, solved
from .outcome import COLUMNS, Outcome, averaged, difference
from .setting import Setting

PARTICLES = 16
ALPHA = 4.0
BLOCK = 16
LATENCIES = 6


def measure(setting: Setting, seeds: Sequence[int], theta: float, report: Report) -> None:
    """The table, and the figures of Power-SMC beside one plain decode and beside MH."""
    ways: dict[str, Search] = {
        "sampling": Majority(1),
        f"plain decode of {PARTICLES}": Majority(PARTICLES),
        f"Power-SMC {PARTICLES}": PowerSMC(PARTICLES, ALPHA, block=BLOCK),
        "MH power sampling": MHPower(ALPHA, block=BLOCK),
        "CNTP": CNTP(),
        "AdaDec": AdaDec(theta),
    }
    own = ("Power-SMC", "MH", "AdaDec")
    found: dict[str, Outcome] = {"greedy": greedy(setting)}
    for name, search in ways.items():
        temperature = None if name.startswith(own) else 1.0
        # AdaDec draws nothing, and MH takes its time.
        chosen = seeds[:1] if name in ("AdaDec", "MH power sampling") else seeds
        found[name] = averaged([solve(setting, search, seed, temperature) for seed in chosen])
    table = Table(COLUMNS, title=f"without a reward; {len(setting.questions)} problems")
    table.rows += [outcome.row(name) for name, outcome in found.items()]
    report.tables.append(table)
    power, mh = found[f"Power-SMC {PARTICLES}"], found["MH power sampling"]
    report.figures += [
        *_latencies(setting, seeds[0], ways, report),
        Figure("power_smc_minus_mh", power.accuracy - mh.accuracy, "points"),
    ]
    for name in ("CNTP", "AdaDec"):
        for base in ("greedy", "sampling"):
            gap, low, high = difference(found[name], found[base])
            report.figures.append(Figure(f"{name.lower()}_minus_{base}", gap, "points"))
            report.notes.append(f"{name} minus {base}: {gap:+.1f} points [{low:+.1f}, {high:+.1f}]")
    report.notes.append(
        f"alpha {ALPHA:g}, blocks of {BLOCK} tokens, MH: 10 steps after each block; CNTP and "
        f"AdaDec at the published settings, theta {theta:g} nats learned on training problems"
    )


def _latencies(
    setting: Setting, seed: int, ways: Mapping[str, Search], report: Report
) -> list[Figure]:
    """Times of one problem after the other, as somebody waits for them; the median ratios."""
    names = (f"plain decode of {PARTICLES}", f"Power-SMC {PARTICLES}", "MH power sampling")
    times: dict[str, list[float]] = {name: [] for name in names}
    for question in setting.questions[: LATENCIES + 1]:
        one = replace(setting, questions=[question])
        for name in names:
            temperature = 1.0 if name.startswith("plain") else None
            outcome, _ = solved(one, ways[name], seed, temperature, draft=None, at_once=1)
            times[name].append(outcome.seconds)
    # The first one warms up.
    plain, power, mh = (times[name][1:] for name in names)
    report.notes.append(f"latencies: medians over {LATENCIES} problems, one at a time, no drafts")
    return [
        Figure("power_smc_to_plain_decode_time", _ratio(power, plain), "x", "<= 1.4"),
        Figure("mh_to_power_smc_time", _ratio(mh, power), "x", ">= 5"),
    ]


def _ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))
