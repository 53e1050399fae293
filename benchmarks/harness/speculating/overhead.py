"""Time outside of the models' forward for each forward of the large model."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Sequence

from ..figures import Figure, Report, Table, number
from .timing import Plan, watched
from .ways import PEERS, Way, guided_way, make_ways
from .workloads import Workload

WAYS = ("generate", "generate + guided", "prompt lookup + guided", "assisted + guided")
PROMPTS = 4


def measure(workload: Workload, plan: Plan, report: Report) -> None:
    """Adds a table of all ways at batch 1 and a figure for each of guided's."""
    own = {"guided": guided_way("auto"), "guided, draft=None": guided_way(None)}
    ways = make_ways(workload, {**own, **{name: PEERS[name] for name in WAYS}}, report.notes)
    table = Table(
        ["way", "ms outside a step", "ms a step", "steps for a text"],
        title=f"{workload.name}, batch 1: time outside of forward",
    )
    report.tables.append(table)
    outside = {}
    prompts = [workload.fresh(PROMPTS) for _ in range(plan.rounds)]
    for name, way in ways.items():
        found = [_once(workload, way, given, plan) for given in prompts]
        outside[name] = statistics.median(one[0] for one in found)
        step = statistics.median(one[1] for one in found)
        table.rows.append([name, number(outside[name]), number(step), number(found[0][2])])
    label = workload.name.replace(" ", "_")
    for name, short in (("guided", "drafted"), ("guided, draft=None", "plain")):
        value = outside.get(name)
        report.figures.append(Figure(f"{label}_overhead_{short}", value, "ms/step", "<= 1"))


def _once(
    workload: Workload, way: Way, prompts: Sequence[str], plan: Plan
) -> tuple[float, float, float]:
    """Milliseconds outside of forward and altogether, for each step, and steps for each text."""
    models = [m for m in (workload.model.hf_model, workload.assistant) if m is not None]
    with contextlib.ExitStack() as stack:
        watches = [stack.enter_context(watched(model, plan)) for model in models]
        seconds, _ = plan.take(lambda: [way([prompt]) for prompt in prompts])
    inside, steps = sum(watch.seconds for watch in watches), watches[0].calls
    return 1e3 * (seconds - inside) / steps, 1e3 * seconds / steps, steps / len(prompts)
