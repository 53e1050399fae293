"""Tokens per second of constrained generation, beside unconstrained generation and peers.

    python benchmarks/end_to_end.py [MODEL …] [--quick] [--json OUT]

One process, one model at a time. Every way of decoding draws from the same model at temperature 1
with the same schemas and the same budget; schemas are compiled beforehand, for all. Unconstrained
is `model.generate` without stop tokens. Without a MODEL: the embedded model where it is there (else
a small one with random weights), and one of 92 million random weights with a 131,072-token
vocabulary.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from harness import data, models
from harness.figures import Figure, Report, Table, number
from harness.processors import PEERS, Arguments
from tqdm import tqdm

import guided
from guided.grammars.grammar import Grammar
from guided.grammars.json_schema import json_schema

SCHEMAS = ("flat_person", "nested_order", "tool_call", "survey", "wide_object", "refs_shared")
PROMPT = "Extract the fields of this text as JSON. Ada Lovelace, 36, ordered two of AB-0001.\n"
EMBEDDED = data.ROOT / "examples" / "models" / "tiny-lm"
# Short enough not to cost much, long enough for every schema here.
WARM_UP = 64
# Left out by --quick: they take long to take in a large vocabulary.
SLOW = ("outlines-core", "lm-format-enforcer")


@dataclass(frozen=True)
class Batch:
    """What is to be written: so many rows of one schema, each of at most `budget` tokens."""

    schema: str
    rows: int
    budget: int
    seed: int


# Writes a batch and returns the number of its tokens.
Way = Callable[[Batch], int]


@dataclass(frozen=True)
class Subject:
    """A model to measure with, by name."""

    name: str
    model: guided.Model


def subjects(names: Sequence[str]) -> list[Subject]:
    """The models that were named, or the two default ones."""
    if names:
        return [Subject(name, guided.load(name)) for name in names]
    small = models.small_tokenizer()
    if EMBEDDED.is_dir():
        found = [Subject("tiny-lm", guided.load(str(EMBEDDED)))]
    else:
        network = models.random_llama(small, hidden=256, layers=4)
        found = [Subject("random 256x4", guided.Model(network, small))]
    large = models.tekken_tokenizer()
    network = models.random_llama(large, hidden=512, layers=8)
    return [*found, Subject("random 92M, 131k", guided.Model(network, large))]


def schemas(count: int) -> dict[str, str]:
    """Schemas of our own set, as text, by name."""
    cases = {case.name.removeprefix("Own---"): case for case in data.load(data.OWN_SET)}
    return {name: cases[name].schema for name in SCHEMAS[:count]}


def written(model: guided.Model, batch: Batch, extra: Arguments) -> int:
    """Tokens that Hugging Face `generate` writes, the first stop token of a row included."""
    tokenizer = model.tokenizer
    inputs = tokenizer([PROMPT] * batch.rows, return_tensors="pt").to(model.device)
    torch.manual_seed(batch.seed)
    out = model.hf_model.generate(
        **{key: inputs[key] for key in ("input_ids", "attention_mask")},
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=batch.budget,
        pad_token_id=tokenizer.pad_token_id,
        **extra,
    )
    total = 0
    for row in out[:, inputs["input_ids"].shape[1] :].tolist():
        stop = tokenizer.eos_token_id
        total += row.index(stop) + 1 if stop in row else len(row)
    return total


def own_ways(model: guided.Model) -> dict[str, Way]:
    """Unconstrained decoding, and guided's two ways."""
    grammars: dict[str, Grammar] = {}

    def unconstrained(batch: Batch) -> int:
        return written(model, batch, {"min_new_tokens": batch.budget})

    def guided_run(batch: Batch) -> int:
        results = guided.run(
            model,
            [PROMPT] * batch.rows,
            schema=batch.schema,
            max_new_tokens=batch.budget,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            seed=batch.seed,
        )
        return sum(len(result.tokens) for result in results)

    def guided_processor(batch: Batch) -> int:
        if batch.schema not in grammars:
            grammars[batch.schema] = json_schema(batch.schema)
        processor = guided.GuidedLogitsProcessor(
            grammars[batch.schema], model, max_new_tokens=batch.budget
        )
        return written(model, batch, {"logits_processor": [processor]})

    return {
        "unconstrained model.generate": unconstrained,
        "guided.run": guided_run,
        "guided in model.generate": guided_processor,
    }


def ways(subject: Subject, peers: Sequence[str], report: Report) -> dict[str, Way]:
    """Every way of decoding that can be had, by name."""
    found = own_ways(subject.model)
    for name in peers:
        try:
            arguments = PEERS[name](subject.model.tokenizer)
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error)[:160]}"
            report.notes.append(f"{name} on {subject.name}: not run, {reason}")
            continue
        found[name] = _peer(subject.model, arguments)
    return found


def _peer(model: guided.Model, arguments: Callable[[str], Arguments]) -> Way:
    return lambda batch: written(model, batch, arguments(batch.schema))


def speed(way: Way, schema: str, rows: int, options: argparse.Namespace) -> float:
    """Tokens per second: the median of some calls, after a short one that is not counted."""
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    way(Batch(schema, rows, min(WARM_UP, options.budget), 0))
    found = []
    for seed in range(1, options.times + 1):
        start = clock()
        tokens = way(Batch(schema, rows, options.budget, seed))
        found.append(tokens / (clock() - start))
    return statistics.median(found)


def measure(
    subject: Subject, rows: int, found: dict[str, Way], options: argparse.Namespace, report: Report
) -> dict[str, float]:
    """Tokens per second of every way: the geometric mean over the schemas that it can do."""
    speeds: dict[str, list[float]] = {}
    for name, way in tqdm(found.items(), f"{subject.name}, {rows}", disable=None, leave=False):
        for title, schema in schemas(options.schemas).items():
            try:
                speeds.setdefault(name, []).append(speed(way, schema, rows, options))
            except Exception as error:
                reason = f"{type(error).__name__}: {str(error)[:160]}"
                report.notes.append(f"{name} on {subject.name}, {title}, batch {rows}: {reason}")
    return {n: statistics.geometric_mean(values) for n, values in speeds.items() if values}


def run(options: argparse.Namespace) -> Report:
    """Measures every model and batch size, and gathers the report."""
    report = Report("end_to_end", "Tokens per second, end to end")
    columns = ["model, batch", "way", "tokens/s", "of unconstrained", "guided.run / this"]
    table = Table(columns)
    report.tables.append(table)
    for subject in subjects(options.models):
        found = ways(subject, options.peers, report)
        for rows in options.batch:
            speeds = measure(subject, rows, found, options, report)
            free, ours = speeds["unconstrained model.generate"], speeds["guided.run"]
            for name, value in speeds.items():
                ratios = [number(value / free), number(ours / value)]
                table.rows.append([f"{subject.name}, {rows}", name, number(value), *ratios])
            label = f"{subject.name} batch {rows}".replace(",", "").replace(" ", "_")
            report.figures.append(Figure(f"speed_of_unconstrained_{label}", ours / free, "x"))
            peers = [value for name, value in speeds.items() if name in PEERS]
            best = ours / max(peers) if peers else None
            report.figures.append(Figure(f"speed_to_best_peer_{label}", best, "x"))
    report.notes.append(
        f"geometric mean over {options.schemas} schemas, median of {options.times} calls each, "
        f"budget {options.budget} tokens, temperature 1, {options.threads} torch thread(s), "
        f"{options.clock} time; only guided closes every document within the budget"
    )
    return report


def main(given: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="folders or Hub ids")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--budget", type=int, default=128, help="tokens per output")
    parser.add_argument("--schemas", type=int, default=len(SCHEMAS), help="how many")
    parser.add_argument("--times", type=int, default=3, help="calls per schema")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    gpu = torch.cuda.is_available()
    parser.add_argument("--clock", choices=["cpu", "wall"], default="wall" if gpu else "cpu")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), help="which to run")
    parser.add_argument("--quick", action="store_true", help="one schema, one call, 24 tokens")
    parser.add_argument("--json", help="write figures and tables to this file")
    options = parser.parse_args(given)
    if options.quick:
        options.schemas, options.times, options.budget = 1, 1, 24
        options.peers = [name for name in options.peers if name not in SLOW]
    torch.set_num_threads(options.threads)
    run(options).finish(options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
