"""Beyond JSON: masks of regular expressions and context-free grammars, engine by engine.

    python benchmarks/beyond_json.py [--quick] [--engines NAME,…] [--json OUT]

The same metrics as MaskBench: TTFM, text to first mask; TBM, take one token and compute the next
mask. Every engine runs in a process of its own with one thread, on the 131,072-token vocabulary,
and writes each text token by token as the real tokenizer splits it; a token that is not in the
mask rejects the text. The languages stand in harness/beyond_json/subjects.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence

from harness import data
from harness.beyond_json import NOTES, PACKAGES, PREFIX
from harness.beyond_json.subjects import SUBJECTS, Subject
from harness.figures import Figure, Report, Table, number
from harness.ratio_table import STATISTICS, ratio_table
from harness.runner import CLOCKS, NotRunError, run_cases
from harness.tally import Tally, micro, ratios
from tqdm import tqdm

QUICK = ("sql", "arithmetic", "ambiguous", "date and time", "web address")


def case_of(subject: Subject) -> data.Case:
    """A language as a case of the mask benchmarks."""
    job = json.dumps({"kind": subject.kind, "text": subject.text})
    texts = [(True, text) for text in subject.valid] + [(False, text) for text in subject.invalid]
    instances = tuple(data.Instance(valid, text) for valid, text in texts)
    return data.Case(subject.name, subject.kind, job, instances)


def run_engine(name: str, cases: Sequence[data.Case], options: argparse.Namespace) -> Tally:
    """All languages through one engine. Raises NotRunError."""
    tally = Tally(name)
    for case, result in tqdm(
        run_cases(PREFIX + name, cases, options.time_limit, options.clock),
        name, len(cases), disable=None, leave=False,
    ):  # fmt: skip
        tally.add(case, result)
    return tally


def languages_table(tallies: Sequence[Tally], cases: Sequence[data.Case]) -> Table:
    """For each language: time to the first mask in ms, and the mean between masks in µs."""
    table = Table(
        ["", *(t.engine for t in tallies)], title="TTFM in ms / TBM mean in µs, by language"
    )
    for case in cases:
        cells = []
        for tally in tallies:
            if case.name not in tally.ttfm:
                cells.append("–")
                continue
            wrong = case.name in tally.wrongly_accepting or case.name in tally.wrongly_rejecting
            first = micro(tally.ttfm_of([case.name]), "mean") / 1e3
            between = micro(tally.tbm_of([case.name]), "mean")
            cells.append(f"{number(first)} / {number(between)}{' wrong' * wrong}")
        table.rows.append([case.name, *cells])
    return table


def summary_table(tallies: Sequence[Tally]) -> Table:
    """What came of the languages and texts, and the times over all that compiled."""
    table = Table(["", *(t.engine for t in tallies)], title="All languages")
    lines: list[tuple[str, list[str]]] = [
        ("languages tried", [str(t.schemas) for t in tallies]),
        ("compiled", [str(t.compiled) for t in tallies]),
        ("all texts judged rightly", [str(t.passed) for t in tallies]),
        ("valid rejected", [f"{t.wrong_rejections} / {t.valid}" for t in tallies]),
        ("invalid accepted", [f"{t.wrong_acceptances} / {t.invalid}" for t in tallies]),
    ]
    for how in STATISTICS:
        lines.append((f"TTFM {how}, µs", [number(micro(t.ttfm_of(), how)) for t in tallies]))
    for how in STATISTICS:
        lines.append((f"TBM {how}, µs", [number(micro(t.tbm_of(), how)) for t in tallies]))
    table.rows = [[name, *cells] for name, cells in lines]
    return table


def figures(ours: Tally, peers: Sequence[Tally]) -> list[Figure]:
    """What is asked of us, and the ratios to the best peer."""
    found = [
        Figure("compiled", 100 * ours.compiled / max(1, ours.schemas), "%", "== 100"),
        Figure("wrong_acceptances", ours.wrong_acceptances, "texts", "== 0"),
        Figure("wrong_rejections", ours.wrong_rejections, "texts", "== 0"),
        Figure("tbm_mean", micro(ours.tbm_of(), "mean"), "µs"),
        Figure("ttfm_p50", micro(ours.ttfm_of(), "p50") / 1e3, "ms"),
    ]
    for which, how in (("tbm", "mean"), ("tbm", "p50"), ("tbm", "p99"), ("ttfm", "p50")):
        ratio = ratios(ours, peers, which, how)
        value = max(ratio.values()) if ratio else None
        found.append(Figure(f"{which}_{how}_ratio_to_best_peer", value, "x"))
    return found


def failures(tally: Tally) -> list[str]:
    """What an engine did not compile, by kind."""
    kinds: Counter[str] = tally.refusals + tally.crashes + tally.timeouts
    if not kinds:
        return []
    shown = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common(8))
    return [f"{tally.engine}: not compiled or not finished: {shown}"]


def run(options: argparse.Namespace) -> Report:
    """Runs the engines one after the other and gathers the report."""
    chosen = [s for s in SUBJECTS if not options.quick or s.name in QUICK]
    cases = [case_of(subject) for subject in chosen]
    report = Report("beyond_json", "Beyond JSON: regular expressions and context-free grammars")
    report.notes.append(
        f"{len(cases)} languages of harness/beyond_json/subjects.py, 131,072-token vocabulary; one "
        f"process per engine, one thread, {options.time_limit:g} s to the first mask and per text; "
        f"{CLOCKS[options.clock]} around the engine's calls; every engine is warmed up beforehand"
    )
    tallies: list[Tally] = []
    for name in options.engines:
        try:
            tally = run_engine(name, cases, options)
        except NotRunError as error:
            report.notes.append(f"{name}: not run, {error}")
            continue
        tallies.append(tally)
        if name in NOTES:
            report.notes.append(f"{name}: {NOTES[name]}")
        report.notes.extend(failures(tally))
    if not tallies:
        return report
    report.tables += [summary_table(tallies), languages_table(tallies, cases)]
    ours = next((t for t in tallies if t.engine == "guided"), None)
    if ours is not None:
        peers = [t for t in tallies if t is not ours]
        if peers:
            report.tables.append(ratio_table(ours, peers, "languages"))
        report.figures = figures(ours, peers)
    return report


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", default=",".join(PACKAGES), help="comma-separated")
    parser.add_argument("--time-limit", type=float, default=10.0, help="seconds")
    parser.add_argument("--clock", choices=["cpu", "wall"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="five languages, under a minute")
    parser.add_argument("--json", help="write figures and tables to this file")
    options = parser.parse_args(given)
    options.engines = options.engines.split(",")
    if unknown := set(options.engines) - set(PACKAGES):
        known = ", ".join(PACKAGES)
        parser.error(f"no engine is called {', '.join(sorted(unknown))}; there are {known}")
    return options


if __name__ == "__main__":
    chosen_options = arguments(sys.argv[1:])
    run(chosen_options).finish(chosen_options.json)
