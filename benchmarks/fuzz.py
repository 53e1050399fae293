"""Random generations under random constraints; every output is judged by somebody else's code.

    python benchmarks/fuzz.py [--parts PART …] [--seed N] [--seconds S] [--quick] [--json OUT]

Four parts, each reproducible from its seed alone:
  made         schemas made at random out of all keywords, held against jsonschema both ways: what
               is accepted is valid, what is valid is accepted, and texts written at random are
               valid
  generations  from tiny random-weight models, sampled at temperature 1, under random schemas of the
               MaskBench dev set (our own set where that is not at hand) and our regular expressions
               and Lark grammars; judged by jsonschema (exact numbers, formats checked), re, lark
  batches      the same draws alone and in one batch, in float64: the tokens have to be equal
  walks        random walks on the 131,072-token vocabulary; masks are compared with single-byte
               stepping, and budget masks with the bound after them

A failure is printed with the constraint, the number of the draw and the text; `--subject NAME
--number N` makes that draw again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from harness import data, oracle, tekken
from harness.figures import Figure, Report, Table
from harness.fuzzing import both_ways, generations, walks
from harness.fuzzing.subjects import Subject, named, patterns, schemas
from tqdm import tqdm

from guided.grammars.vocabulary import Vocabulary
from guided.warm_up import compile_grammar_kernels

PARTS = ["made", "generations", "batches", "walks"]


@dataclass
class Part:
    """What one part of the run has done so far."""

    name: str
    done: int = 0
    characters: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def blame(self, called: str, source: str, number: int, what: str, text: str) -> None:
        """Records a failure and prints it."""
        self.faults.append(
            f"{self.name} {number}, {called}: {what}\n"
            f"    text: {text!r}\n    source: {source[:1500]}"
        )
        print("FAULT " + self.faults[-1], file=sys.stderr, flush=True)


def of(subject: Subject) -> tuple[str, str]:
    """What a constraint is called, and its source."""
    return f"{subject.kind} {subject.name!r}", subject.source


class Timer:
    """Whether the time given to a part is over."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def over(self) -> bool:
        return self._end is not None and time.monotonic() > self._end


def judge_made(part: Part, options: argparse.Namespace, timer: Timer) -> None:
    """Schemas made at random, both ways; in whole runs of numbers, until the time is over."""
    # Compiling kernels is no part of compiling a schema, which has a limit of time.
    compile_grammar_kernels()
    numbers = range(options.made) if options.number is None else [options.number]
    for number in tqdm(numbers, part.name, disable=None, leave=False):
        if timer.over():
            return
        found = both_ways.judge(number, options.seed)
        part.done += 1
        part.kinds.update(found.counts)
        for what, text in found.faults:
            part.blame(f"schema made {number}", found.source, number, what, text)


def generate(
    part: Part, subjects: Sequence[Subject], options: argparse.Namespace, timer: Timer
) -> None:
    """Generations, judged."""
    drawn = generations.draws(subjects, options.runs, options.seed)
    if options.number is not None:
        drawn = (draw for draw in drawn if draw.number == options.number)
    sources = generations.Sources(options.seed)
    batches = sources.batches(drawn, options.batch)
    for batch in tqdm(batches, part.name, disable=None, leave=False):
        if timer.over():
            return
        for draw, result in sources.generate(batch):
            part.done += 1
            part.kinds[draw.subject.kind] += 1
            if isinstance(result, Exception):
                what = f"{type(result).__name__}: {result}"
                part.blame(*of(draw.subject), draw.number, what, "")
                continue
            part.characters += len(result.text)
            part.kinds[f"finish {result.finish_reason}"] += 1
            if fault := draw.subject.fault(result.text):
                part.blame(*of(draw.subject), draw.number, fault, result.text)
            elif draw.subject.kind == "schema" and oracle.repeats_a_name(result.text):
                part.kinds["with a free name twice"] += 1


def compare_batches(
    part: Part, subjects: Sequence[Subject], options: argparse.Namespace, timer: Timer
) -> None:
    """The same draws alone and in a batch, in float64."""
    drawn = generations.draws(subjects, options.batches * 8, options.seed + 1)
    sources = generations.Sources(options.seed, exact=True)
    for batch in tqdm(sources.batches(drawn, 8), part.name, disable=None, leave=False):
        if timer.over():
            return
        for draw, together, alone in sources.together_and_alone(batch):
            part.done += 1
            part.kinds[draw.subject.kind] += 1
            if together != alone:
                what = f"tokens differ: in a batch {together}, alone {alone}"
                part.blame(*of(draw.subject), draw.number, what, "")


def random_walks(
    part: Part, subjects: Sequence[Subject], options: argparse.Namespace, timer: Timer
) -> None:
    """Walks on the large vocabulary, masks compared with single-byte stepping."""
    table = tekken.table()
    vocabulary = Vocabulary.from_tokens(
        table.tokens, stop_ids=[table.stop_id], specials=table.specials
    )
    numbers = range(options.walks) if options.number is None else [options.number]
    for number in tqdm(numbers, part.name, disable=None, leave=False):
        if timer.over():
            return
        subject = subjects[number % len(subjects)]
        text, faults = walks.walk(subject, number, vocabulary, options.seed)
        part.done += 1
        part.kinds[subject.kind] += 1
        for fault in faults:
            part.blame(*of(subject), number, fault.what, fault.text.decode(errors="replace"))
        if text is not None:
            part.characters += len(text)
            if what := subject.fault(text):
                part.blame(*of(subject), number, what, text)


def gather(options: argparse.Namespace, skipped: Counter[str]) -> list[Subject]:
    """The constraints of this run; none where no part takes them."""
    if options.parts == ["made"]:
        return []
    found = schemas(options.schemas, options.seed, skipped) + patterns()
    # Mixed, so that a run that is cut short has seen every kind.
    random.Random(options.seed).shuffle(found)
    return named(found, options.subject)


def run(options: argparse.Namespace) -> Report:
    """Runs the parts and gathers the report."""
    report = Report("fuzz", "Random generations, judged by jsonschema, re and lark")
    skipped: Counter[str] = Counter()
    subjects = gather(options, skipped)
    work: dict[str, Callable[[Part, Timer], None]] = {
        "made": lambda part, timer: judge_made(part, options, timer),
        "generations": partial(_call, generate, subjects, options),
        "batches": partial(_call, compare_batches, subjects, options),
        "walks": partial(_call, random_walks, subjects, options),
    }
    parts = []
    for name in options.parts:
        part, begin = Part(name), time.monotonic()
        share = None if options.seconds is None else options.seconds / len(options.parts)
        work[name](part, Timer(share))
        part.seconds = time.monotonic() - begin
        parts.append(part)
    report.tables.append(summary(parts))
    report.figures = [Figure(f"fuzz_{p.name}", p.done, "runs") for p in parts]
    report.figures += [Figure(f"fuzz_{p.name}_faults", len(p.faults), "", "== 0") for p in parts]
    kinds = Counter(subject.kind for subject in subjects)
    if subjects:
        path = data.maskbench_path(None)
        report.notes.append(
            f"{len(subjects)} constraints: {_listed(kinds)}; schemas from {data.where_from(path)}"
        )
    report.notes.append(f"seed {options.seed}")
    if skipped:
        report.notes.append(f"schemas drawn and left out: {_listed(skipped)}")
    return report


def _call(
    work: Callable[[Part, Sequence[Subject], argparse.Namespace, Timer], None],
    subjects: Sequence[Subject],
    options: argparse.Namespace,
    part: Part,
    timer: Timer,
) -> None:
    work(part, subjects, options, timer)


def summary(parts: Sequence[Part]) -> Table:
    """What each part did."""
    table = Table(["part", "runs", "faults", "characters", "seconds", "of these"])
    for part in parts:
        counts = [str(part.done), str(len(part.faults)), str(part.characters)]
        table.rows.append([part.name, *counts, f"{part.seconds:.0f}", _listed(part.kinds)])
    return table


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.most_common())


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--made", type=int, default=20_000, help="schemas made at random")
    parser.add_argument("--runs", type=int, default=10_000, help="generations")
    parser.add_argument("--batches", type=int, default=25, help="batches of 8 to compare")
    parser.add_argument("--walks", type=int, default=1_100, help="walks on the large vocabulary")
    parser.add_argument("--schemas", type=int, default=500, help="random schemas")
    parser.add_argument("--batch", type=int, default=16, help="generations made at once")
    parser.add_argument("--seconds", type=float, help="stop after so long, shared by the parts")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="which to run")
    parser.add_argument("--subject", help="only the constraint of this name")
    parser.add_argument("--number", type=int, help="only the draw of this number")
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--json", help="write figures and tables to this file")
    options = parser.parse_args(given)
    if options.quick:
        options.runs, options.batches, options.walks, options.schemas = 200, 2, 50, 40
        options.made = 300
        options.seconds = options.seconds or 40
    # re warns of classes such as [[a], which mean in ECMAScript what they say.
    warnings.simplefilter("ignore", FutureWarning)
    report = run(options)
    report.finish(options.json)
    return int(any(figure.holds is False for figure in report.figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
